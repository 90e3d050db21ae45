"""Heads whose loss is computed in tiles give MMSegmentation's losses, accuracy and gradients."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.models.decode_heads import UPerHead as MMSegUPerHead
from mmseg.models.losses import CrossEntropyLoss
from mmseg.structures import SegDataSample

import mae_transfer.dense.heads as heads
from mae_transfer.dense.heads import FCNHead, TiledLoss, UPerHead

CLASSES, DIM = 6, 8


@pytest.fixture(autouse=True)
def mmseg_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def build(kind, seed=0, **settings):
    torch.manual_seed(seed)
    shared = dict(channels=DIM, num_classes=CLASSES, norm_cfg=dict(type='BN'), dropout_ratio=0, align_corners=False)
    if 'UPerHead' in kind:
        own = dict(in_channels=[DIM] * 4, in_index=[0, 1, 2, 3])
    else:
        own = dict(in_channels=DIM, in_index=2, num_convs=1, concat_input=False)
    head = MODELS.build(dict(dict(type=kind, **shared, **own), **settings)).train()
    torch.nn.init.normal_(head.conv_seg.weight)
    return head


def losses(head, dtype=torch.float64, ignored=0.3):
    """The losses of a head, and the gradients of its maps and weights."""
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(2, DIM, 16 // 2**i, 24 // 2**i, generator=generator).to(dtype) for i in range(4)]
    maps = [values.requires_grad_() for values in maps]
    head = head.to(dtype)
    samples = []
    for _ in range(2):
        labels = torch.randint(CLASSES, (1, 50, 70), generator=generator)
        labels[torch.rand(labels.shape, generator=generator) < ignored] = 255
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=labels)))
    found = head.loss(maps, samples, {})
    sum(value for name, value in found.items() if 'loss' in name).backward()
    gradients = [value.grad for value in [*maps, *head.parameters()] if value.grad is not None]
    return found, gradients


def check_same(kind, is_tiled, monkeypatch, ignored=0.3, **settings):
    calls = []
    monkeypatch.setattr(heads, 'resized_cross_entropy', lambda *a: calls.append(1) or original(*a))
    ours, our_gradients = losses(build(f'mae_transfer.{kind}', **settings), ignored=ignored)
    theirs, their_gradients = losses(build(f'mmseg.{kind}', **settings), ignored=ignored)
    assert bool(calls) == is_tiled
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name].shape == value.shape and ours[name].dtype == value.dtype
        torch.testing.assert_close(ours[name], value, rtol=1e-6, atol=0)
    assert len(our_gradients) == len(their_gradients) > 4
    for one, other in zip(our_gradients, their_gradients):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6 * other.abs().max().item())


original = heads.resized_cross_entropy
WEIGHTS = [0.5, 1, 2, 0.1, 1, 3]


# In float64, because the layers below enlarge the rounding of the loss's gradient.
@pytest.mark.parametrize('kind', ['UPerHead', 'FCNHead'])
@pytest.mark.parametrize('ignored', [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    'loss', [dict(), dict(loss_weight=0.4), dict(avg_non_ignore=True), dict(class_weight=WEIGHTS, loss_name='loss_w')]
)
def test_plain_cross_entropy_is_mmsegmentation_s(kind, ignored, loss, monkeypatch):
    check_same(kind, True, monkeypatch, ignored, loss_decode=dict(type='CrossEntropyLoss', **loss))


def test_float32_differs_by_rounding():
    ours, theirs = (losses(build(f'{scope}.UPerHead'), torch.float32)[0] for scope in ('mae_transfer', 'mmseg'))
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-6, atol=0)


def test_corners_may_be_aligned(monkeypatch):
    check_same('UPerHead', True, monkeypatch, align_corners=True)


class Doubled(CrossEntropyLoss):
    """A loss of a user's own."""

    def forward(self, *args, **kwargs):
        return 2 * super().forward(*args, **kwargs)


@pytest.mark.parametrize(
    'settings',
    [
        dict(loss_decode=dict(type='DiceLoss')),
        dict(loss_decode=[dict(type='CrossEntropyLoss'), dict(type='DiceLoss')]),
        dict(loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)),
        dict(loss_decode=dict(type='CrossEntropyLoss', reduction='sum')),
        dict(loss_decode=dict(type=Doubled)),
        dict(sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=100)),
        dict(num_classes=2, out_channels=1, threshold=0.5, loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)),
    ],
)
def test_any_other_loss_is_computed_by_mmsegmentation(settings, monkeypatch):
    labels = dict(ignored=0.0) if 'sampler' not in settings else {}
    if settings.get('num_classes') == 2:
        monkeypatch.setitem(globals(), 'CLASSES', 2)
    check_same('FCNHead', False, monkeypatch, **labels, **settings)


def test_the_classes_are_found_by_name_and_derive_from_mmsegmentation_s():
    assert type(build('mae_transfer.UPerHead')) is UPerHead and issubclass(UPerHead, (TiledLoss, MMSegUPerHead))
    assert type(build('UPerHead')) is MMSegUPerHead
    assert type(build('mae_transfer.FCNHead')) is FCNHead
