"""Rotary positions: in attention, pairs of channels of queries and keys are turned by angles that grow with the row and
the column of a patch (Su et al. 2021), so that their products depend on the offset between patches.

Two kinds, each for any grid, also one that was not trained on:

- 'eva02' (EVA-02, arXiv 2303.11331): places are in patches of the grid that the model was pre-trained with, frequencies
  are ``10000 ** (-i / (d / 4))``, and channels are paired with their neighbours.
- 'dinov3' (DINOv3, arXiv 2508.10104): an image reaches from -1 to 1 on either side, places are the centres of patches,
  frequencies ``2 pi 100 ** (-i / (d / 4))``, and the first half of the channels is paired with the second.

Here d is the width of a head and i in 0 .. d / 4 - 1; the first d / 4 angles are the row's, the others the column's.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError


class Rotary:
    """The angles of rotary positions, and how they turn queries and keys.

    Args:
        kind: one of :data:`~mae_transfer.vit.design.ROTARY_KINDS`.
        head_dim: width d of a head, a multiple of 4.
        grid: (rows, columns) of the patches that 'eva02' counts in.
    """

    def __init__(self, kind: str, head_dim: int, grid: tuple[int, int]):
        if head_dim % 4:
            raise UserError(f'rotary positions need heads of a multiple of 4 channels; found {head_dim}')
        self.kind, self.head_dim, self.grid = kind, head_dim, grid

    def angles(self, grid: tuple[int, int], image: tuple[int, int], device: torch.device | None = None) -> Tensor:
        """The angles (rows * columns, d / 2) of the patches of a grid of (rows, columns).

        Args:
            image: (rows, columns) of the whole image, which decide how far apart two patches are. Of a window only the
                offsets within it matter: its grid begins at the image's first patch.
        """
        exponents = torch.arange(self.head_dim // 4, device=device, dtype=torch.float32) / (self.head_dim // 4)
        axes = []
        for count, whole, trained in zip(grid, image, self.grid):
            numbers = torch.arange(count, device=device, dtype=torch.float32)
            if self.kind == 'eva02':
                axes.append(numbers / whole * trained)
            else:
                axes.append((2 * (numbers + 0.5) / whole - 1) * (2 * math.pi))
        frequencies = (10000.0 if self.kind == 'eva02' else 100.0) ** -exponents
        places = torch.stack(torch.meshgrid(*axes, indexing='ij'), dim=-1).flatten(0, 1)
        return (places[:, :, None] * frequencies).flatten(1)

    def turn(self, angles: Tensor) -> Turn:
        """The turn by ``angles`` (..., N, d / 2)."""
        pairs_are_neighbours = self.kind == 'eva02'
        # Not by ``repeat_interleave``, which becomes another operation in ONNX.
        both = torch.stack([angles, angles], -1).flatten(-2) if pairs_are_neighbours else torch.cat([angles] * 2, -1)
        return Turn(both.cos(), both.sin(), pairs_are_neighbours)


def make_rotary(kind: str | None, head_dim: int, grid: tuple[int, int], img_size: Any) -> Rotary | None:
    """Rotary positions of ``kind``; None for None.

    Raises:
        UserError: ``img_size``, the setting behind ``grid``, is given but has no effect.
    """
    if kind != 'eva02' and img_size is not None:
        raise UserError(f"rotary_img_size={img_size} has no effect without the rotary positions of 'eva02'")
    return None if kind is None else Rotary(kind, head_dim, grid)


class Turn:
    """Turns queries or keys.

    Args:
        cos, sin: (..., N, d), of the angle of each channel.
        pairs_are_neighbours: whether channels 0 and 1 are a pair; otherwise 0 and d / 2.
    """

    def __init__(self, cos: Tensor, sin: Tensor, pairs_are_neighbours: bool):
        self.cos, self.sin, self.pairs_are_neighbours = cos, sin, pairs_are_neighbours

    def __call__(self, x: Tensor) -> Tensor:
        """(B, heads, N, d) to the same shape and type; tokens without an angle stay as they are. In float32."""
        if self.pairs_are_neighbours:
            partner = torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
        else:
            first, second = x.chunk(2, -1)
            partner = torch.cat([-second, first], -1)
        return (x * self.cos + partner * self.sin).to(x.dtype)
