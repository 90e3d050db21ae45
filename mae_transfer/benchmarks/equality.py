"""Are the features and gradients of other projects' ViTs and of ours the same, after loading their files?

    python -m mae_transfer.benchmarks.equality_table

Each start is a model of another project, built small with random weights in all parameters. What its way of saving
writes is loaded by :func:`~mae_transfer.vit.weights.checkpoint.load_vit` into a ViT of the design that stands beside
it. Both see the same images; the difference of their tokens, and of the gradients of all weights that both have, is
relative to the largest value.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..vit import ViT
from ..vit.weights.checkpoint import load_vit
from ..vit.weights.layouts import to_canonical
from ..vit.weights.load_report import LoadReport

WIDTH, DEPTH, HEADS, PATCH = 64, 3, 2, 8
SQUARES = ((32, 32), (48, 48))
SIZES = (*SQUARES, (32, 48))


@dataclass(frozen=True)
class Start:
    """A model of another project to start from.

    Args:
        name: what is started from, such as 'DINOv2 with registers'.
        source: the class that computes, with its package.
        build: (height, width) to the model, in evaluation mode or not, of any weights.
        tokens: the model and images (B, 3, H, W) to tokens (B, class + N, D), without registers.
        layout: the layout that its files are of.
        back: the layout of files for its class; None for the same.
        vit: settings of the ViT that computes the same, beside size and image size.
        mlp_ratio: that of the ViT.
        names: the state dict as an official repository, which cannot be installed here, would save it; None if the
            source's own files are loaded.
        sizes: (height, width) of the images.
        built_for: the size that the model is built for, whose positions both interpolate; None for that of the images.
    """

    name: str
    source: str
    build: Callable[[tuple[int, int]], nn.Module]
    tokens: Callable[[nn.Module, Tensor], Tensor]
    layout: str
    vit: Mapping[str, Any] = field(default_factory=dict)
    mlp_ratio: float = 4.0
    names: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None
    sizes: tuple[tuple[int, int], ...] = SIZES
    built_for: tuple[int, int] | None = None
    back: str | None = None

    def model(self, size: tuple[int, int]) -> nn.Module:
        """The model for images of ``size``, all of its parameters random, in evaluation mode."""
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            model = self.build(self.built_for or size)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        return model.eval()

    def our_vit(self, size: tuple[int, int]) -> ViT:
        """A ViT of ours of the same design and size, of random weights."""
        settings: dict[str, Any] = dict(img_size=self.built_for or size, learn_positions=True, **self.vit)
        arch = dict(embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS, mlp_ratio=self.mlp_ratio)
        return ViT(arch, patch_size=PATCH, **settings).eval()

    def save(self, model: nn.Module, folder: Path) -> Path:
        """Write the model as its project does; the file or folder to load."""
        save_pretrained: Any = getattr(model, 'save_pretrained', None)
        if self.names is None and save_pretrained is not None:
            save_pretrained(folder)
            return folder
        state = model.state_dict()
        torch.save(self.names(dict(state)) if self.names else state, folder / 'weights.pth')
        return folder / 'weights.pth'


@dataclass(frozen=True)
class Equality:
    """How far a start and our ViT are apart.

    Args:
        features, gradients: largest difference, relative to the largest value; of gradients, in the worst weight.
        report: on loading.
        shared: number of weights whose gradients were compared.
    """

    features: float
    gradients: float
    report: LoadReport
    shared: int


def measure(start: Start, size: tuple[int, int]) -> Equality:
    """Save a start, load it into our ViT, and compare both on two images of ``size``."""
    theirs, ours = start.model(size), start.our_vit(size)
    with tempfile.TemporaryDirectory() as folder:
        grid = start.built_for or size
        source_grid = (grid[0] // PATCH, grid[1] // PATCH) if grid[0] != grid[1] else None
        report = load_vit(ours, start.save(theirs, Path(folder)), source_grid=source_grid)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    features = []
    for tokens in (ours.tokens(images), start.tokens(theirs, images)):
        tokens.sin().mean().backward()
        features.append(tokens.detach())
    gradients = dict(_gradients(ours))
    expected = to_canonical(_gradients(theirs))[0]  # renamed, fused and split as weights are
    shared = [name for name in gradients if name in expected]
    worst = max(_difference(gradients[name], expected[name]) for name in shared)
    return Equality(_difference(*features), worst, report, len(shared))


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    """The gradients of all parameters; zeros where there are none."""
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in model.named_parameters()}


def _difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    if found.ndim == 3 and found.shape[1] > expected.shape[1]:  # the class token's row, which they have none of
        found = found[:, -expected.shape[1] :]
    return ((found - expected).abs().max() / expected.abs().max()).item()
