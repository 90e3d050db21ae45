"""Position embeddings: the fixed sin-cos table of MAE, and resizing to another grid."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def sincos_table(embed_dim: int, grid: tuple[int, int], num_prefix: int = 1) -> Tensor:
    """The 2-D sin-cos position embedding of MAE (official code, ``util/pos_embed.py``), on which the released weights
    depend.

    The first half of the channels encodes the column, the second half the row. Each half holds sines, then cosines, of
    the frequencies ``10000 ** (-i / (embed_dim / 4))``, computed in float64.

    Args:
        embed_dim: channels D, a multiple of 4.
        grid: (rows, columns) of patches, which are numbered row by row.
        num_prefix: number of rows of zeros in front; 1 for a class token.

    Returns:
        Float32 tensor of shape (1, num_prefix + rows * columns, D).
    """
    if embed_dim % 4:
        raise ValueError(f'sin-cos positions need embed_dim divisible by 4; found {embed_dim}')
    rows, columns = grid
    frequencies = 1.0 / 10000 ** (np.arange(embed_dim // 4, dtype=np.float64) / (embed_dim / 4))

    def encode(coordinates: np.ndarray) -> np.ndarray:
        angles = np.outer(coordinates.reshape(-1), frequencies)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    row, column = np.meshgrid(np.arange(rows, dtype=np.float64), np.arange(columns, dtype=np.float64), indexing='ij')
    table = np.concatenate([encode(column), encode(row)], axis=1)
    table = np.concatenate([np.zeros((num_prefix, embed_dim)), table])
    return torch.from_numpy(table).float().unsqueeze(0)


def sincos_grid(patches: Tensor) -> tuple[int, int] | None:
    """(rows, columns) of the grid that positions are the sin-cos table of; None for any other table.

    Args:
        patches: (N, D) positions of the patches, without prefix; those rounded to half precision are recognised too.
    """
    count, dim = patches.shape
    if dim % 4:
        return None
    patches, tolerance = patches.float(), 0.02
    # The first half of the channels encodes the column: it repeats where the second row begins.
    columns = patches[:, : dim // 2]
    repeats = (columns - columns[:1]).abs().amax(dim=1) < tolerance
    width = next((i for i in range(1, count) if count % i == 0 and repeats[i]), count)
    grid = (count // width, width)
    is_table = (patches - sincos_table(dim, grid, num_prefix=0)[0]).abs().amax() < tolerance
    return grid if is_table else None


def resize_pos_embed(
    pos_embed: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int], num_prefix: int = 1
) -> Tensor:
    """Resize position embeddings to another grid: bicubic, without aligned corners or antialiasing; prefix rows stay.

    The interpolation of the official code (``util/pos_embed.py``), extended to grids that are not square. timm's
    ``resample_abs_pos_embed`` differs: it applies antialiasing when it shrinks a table.

    Args:
        pos_embed: (1, num_prefix + old rows * old columns, D).
        old_grid, new_grid: (rows, columns).
        num_prefix: number of leading rows that are not part of the grid.

    Returns:
        (1, num_prefix + new rows * new columns, D) of the same dtype; the input itself if the grids are equal.
    """
    if pos_embed.shape[1] != num_prefix + old_grid[0] * old_grid[1]:
        raise ValueError(
            f'pos_embed must have {num_prefix} + {old_grid[0]} x {old_grid[1]} rows; found shape '
            f'{tuple(pos_embed.shape)}'
        )
    if tuple(old_grid) == tuple(new_grid):
        return pos_embed
    prefix, patches = pos_embed[:, :num_prefix], pos_embed[:, num_prefix:]
    # In float32: bicubic weights in half precision shift positions visibly.
    grid = patches.float().reshape(1, *old_grid, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=tuple(new_grid), mode='bicubic', align_corners=False)
    return torch.cat([prefix, grid.flatten(2).transpose(1, 2).to(patches.dtype)], dim=1)
