"""A ViT that was exported or traced with one batch computes another."""

from __future__ import annotations

import warnings
from unittest import mock

import pytest
import torch
from torch import nn

from mae_transfer.vit import ViT
from tests.vit.weights.test_checkpoint import randomize

DESIGNS = [None, 'dinov3', dict(like='eva02', mlp_norm=True), dict(like='clip', registers=2), 'beit']
CASES = [(design, 'tokens') for design in DESIGNS] + [('dinov3', 'forward')]


class Tokens(nn.Module):
    """:meth:`ViT.tokens` as a module."""

    def __init__(self, vit: ViT):
        super().__init__()
        self.vit = vit

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.vit.tokens(images)


def small(design) -> ViT:
    rel_pos = 'table' if design == 'beit' else None
    return randomize(ViT('32x2x2', design=design, rel_pos=rel_pos, img_size=32, patch_size=8)).eval()


@pytest.mark.parametrize('design, method', CASES, ids=str)
def test_export_with_a_batch_of_any_size(design, method):
    vit = small(design)
    model = Tokens(vit) if method == 'tokens' else vit
    batch = torch.export.Dim('batch', min=2, max=64)
    with torch.no_grad():
        exported = torch.export.export(model, (torch.randn(4, 3, 32, 32),), dynamic_shapes=({0: batch},)).module()
        for size in (2, 5):
            images = torch.randn(size, 3, 32, 32)
            found, expected = exported(images), model(images)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('design, method', CASES, ids=str)
def test_trace_with_another_batch(design, method):
    vit = small(design)
    model = Tokens(vit) if method == 'tokens' else vit
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # sides of images are taken as constants: they are, in a trace
        traced = torch.jit.trace(model, torch.randn(2, 3, 32, 32), check_trace=False)
        for size in (1, 5):
            images = torch.randn(size, 3, 32, 32)
            torch.testing.assert_close(traced(images), model(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('kind', ['table', 'shared', 'decomposed'])
def test_the_whole_bias_is_that_of_the_tiles(kind):
    """Exported models store the scores of all pairs; others compute them in tiles."""
    torch.manual_seed(0)
    vit = ViT('32x2x2', img_size=32, patch_size=8, rel_pos=kind, class_token=kind == 'table')
    vit = randomize(vit).eval()
    images = torch.randn(2, 3, 40, 56)
    with torch.no_grad(), mock.patch('torch.jit.is_tracing', lambda: True):
        whole = vit.tokens(images)
    torch.testing.assert_close(whole, vit.tokens(images), rtol=1e-5, atol=1e-5)


def test_windows_too():
    vit = ViT(
        '32x2x2', img_size=48, patch_size=8, class_token=False, window_size=2, global_blocks=(1,), rel_pos='decomposed'
    )
    vit = randomize(vit).eval()
    with torch.no_grad():
        batch = torch.export.Dim('batch', min=2, max=64)
        exported = torch.export.export(vit, (torch.randn(4, 3, 40, 48),), dynamic_shapes=({0: batch},)).module()
        images = torch.randn(3, 3, 40, 48)
        torch.testing.assert_close(exported(images), vit(images), rtol=1e-5, atol=1e-5)
