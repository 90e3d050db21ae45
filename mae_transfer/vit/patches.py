"""Divide images into patches, all or a chosen subset, and join patches into images."""

from __future__ import annotations

import torch
from timm.layers import to_2tuple
from torch import Tensor

from ..errors import UserError


def patch_grid(img_size: int | tuple[int, int], patch_size: int, setting: str) -> tuple[int, int]:
    """(rows, columns) of the patches of an image of the side, or (height, width), that ``setting`` gives.

    Raises:
        UserError: sides that are no multiples of ``patch_size``.
    """
    height, width = to_2tuple(img_size)
    rows, columns = height // patch_size, width // patch_size
    if height % patch_size or width % patch_size:
        raise UserError(
            f'{setting} {height} x {width} is not divisible by patch_size {patch_size}: choose multiples, '
            f'e.g. {max(1, rows) * patch_size} x {max(1, columns) * patch_size}'
        )
    return rows, columns


def patch_view(images: Tensor, patch_size: int) -> Tensor:
    """View images as a grid of patches, without a copy.

    Args:
        images: (B, C, H, W), H and W multiples of ``patch_size``.

    Returns:
        View of shape (B, rows, columns, C, patch_size, patch_size).
    """
    batch, channels, height, width = images.shape
    if height % patch_size or width % patch_size:
        raise ValueError(f'an image of {height} x {width} does not divide into patches of {patch_size}')
    rows, columns = height // patch_size, width // patch_size
    return images.reshape(batch, channels, rows, patch_size, columns, patch_size).permute(0, 2, 4, 1, 3, 5)


def take_patches(images: Tensor, patch_size: int, index: Tensor | None = None) -> Tensor:
    """Copy the chosen patches of each image.

    Args:
        images: (B, C, H, W).
        index: (B, K) patch numbers, row-major; None for all patches in order.

    Returns:
        (B, K, C, patch_size, patch_size).
    """
    grid = patch_view(images, patch_size)
    if index is None:
        return grid.flatten(1, 2)
    columns = grid.shape[2]
    batch = torch.arange(images.shape[0], device=images.device)[:, None]
    return grid[batch, index // columns, index % columns]


def flatten_patches(patches: Tensor) -> Tensor:
    """Patches (..., C, p, p) to vectors (..., p * p * C) in the order of MAE's decoder: rows, columns, channels
    last."""
    return patches.movedim(-3, -1).flatten(-3)


def unflatten_patches(vectors: Tensor, patch_size: int) -> Tensor:
    """The inverse of :func:`flatten_patches`: (..., p * p * C) to (..., C, p, p)."""
    return vectors.unflatten(-1, (patch_size, patch_size, -1)).movedim(-1, -3)


def join_patches(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    """Join patches (B, rows * columns, C, p, p), row-major, into images (B, C, rows * p, columns * p)."""
    batch, _, channels, patch_size, _ = patches.shape
    rows, columns = grid
    patches = patches.reshape(batch, rows, columns, channels, patch_size, patch_size)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, rows * patch_size, columns * patch_size)
