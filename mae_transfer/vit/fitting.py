"""Resize the weights of a checkpoint to the shapes that a ViT has, where that is meaningful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import CheckpointError
from .position import resize_pos_embed
from .relative_position import is_rel_pos_table, rel_pos_kind, resize_axis_table, resize_offset_table


@runtime_checkable
class KnowsItsGrids(Protocol):
    """What our ViT, in contrast to timm's, says of the grids that its positions are for."""

    grid: tuple[int, int]
    num_prefix: int

    def table_grid(self, name: str) -> tuple[int, int]:
        """(rows, columns) that a table of relative positions is for."""

    def get_parameter(self, target: str) -> nn.Parameter:
        """A parameter by its name."""


def fit_weight(
    name: str,
    value: Tensor,
    vit: nn.Module,
    encoder: Mapping[str, Tensor],
    target: Mapping[str, Tensor],
    source_grid: tuple[int, int] | None,
) -> Tensor:
    """A weight of a checkpoint, resized if the model's shape differs and this weight can be resized.

    ``pos_embed`` and relative positions are resized to the ViT's grid, ``patch_embed.proj`` to its patch size (bicubic,
    as ViTDet goes from 14 to 16). Entries for a class token are dropped if the model has none.

    Args:
        name, value: one of the weights of ``encoder``, whose name is in ``target``.
        vit: the model, of state dict ``target``.
        source_grid: see :func:`~mae_transfer.vit.checkpoint.load_vit`.

    Returns:
        The same tensor where nothing had to be done, or nothing can be done.

    Raises:
        CheckpointError: values that are not finite; positions of an unknown grid; another number of channels.
    """
    if not torch.isfinite(value).all():
        raise CheckpointError(f"'{name}' holds values that are not finite: the checkpoint is of a run that diverged")
    wanted = target[name].shape
    if name == 'pos_embed':
        return _fit_positions(value, vit, 'cls_token' in encoder, 'cls_token' in target, source_grid)
    if is_rel_pos_table(name) and isinstance(vit, KnowsItsGrids) and value.ndim == 2 and value.shape[1] == wanted[1]:
        had_class = 'cls_token' in encoder and rel_pos_kind(name) == 'table'
        return _fit_rel_pos_table(name, value, vit, had_class, source_grid)
    if name == 'patch_embed.proj.weight' and value.ndim == 4 and value.shape != wanted:
        if value.shape[1] != wanted[1]:
            raise CheckpointError(
                f'checkpoint takes {value.shape[1]} image channels; the model {wanted[1]}: choose '
                f'in_channels={value.shape[1]}'
            )
        return F.interpolate(value.float(), size=wanted[2:], mode='bicubic', align_corners=False)
    return value


def _fit_positions(
    value: Tensor, vit: nn.Module, had_class: bool, has_class: bool, source_grid: tuple[int, int] | None
) -> Tensor:
    """``pos_embed`` (1, class + N, D) for the grid of ``vit``, with or without the class token's row."""
    new_grid = _grid_of(vit)
    count = value.shape[1] - had_class
    side = round(count**0.5)
    if source_grid is None:
        is_square, is_same = side * side == count, new_grid[0] * new_grid[1] == count
        if is_square and is_same and new_grid != (side, side):
            raise CheckpointError(
                f'pos_embed of {count} patches may be for {side} x {side} or for {format_shape(new_grid)}, as the '
                f'model is: give source_grid=(rows, columns)'
            )
        if not is_square and not is_same:
            raise CheckpointError(
                f'pos_embed of {count} patches is for no square grid: give source_grid=(rows, columns)'
            )
        source_grid = (side, side) if is_square else new_grid
    if source_grid[0] * source_grid[1] != count:
        raise CheckpointError(
            f'pos_embed is for {count} patches; source_grid {format_shape(source_grid)} has '
            f'{source_grid[0] * source_grid[1]}'
        )
    if has_class and not had_class:
        raise CheckpointError('the checkpoint has no class token; the model has one: choose class_token=False')
    if tuple(source_grid) != new_grid:
        value = resize_pos_embed(value.float(), source_grid, new_grid, int(had_class))
    return value if has_class == had_class else value[:, 1:]


def _grid_of(vit: nn.Module) -> tuple[int, int]:
    if isinstance(vit, KnowsItsGrids):
        return vit.grid
    patch_embed: Any = vit.patch_embed  # timm's
    rows, columns = patch_embed.grid_size
    return rows, columns


def _fit_rel_pos_table(
    name: str, value: Tensor, vit: KnowsItsGrids, had_class: bool, source_grid: tuple[int, int] | None
) -> Tensor:
    """A table of relative positions (entries, ...) for the grid of the tables of ``vit``."""
    if name.endswith(('.rel_pos_h', '.rel_pos_w')):
        return resize_axis_table(value, (len(vit.get_parameter(name)) + 1) // 2)
    new_grid, has_class = vit.table_grid(name), bool(vit.num_prefix)
    count = len(value) - 3 * had_class
    side = (round(count**0.5) + 1) // 2
    # A source_grid that does not match is for the tables of the global blocks; this table is for a window.
    possible = [grid for grid in (source_grid, (side, side), new_grid) if grid and _count_offsets(grid) == count]
    if not possible:
        raise CheckpointError(f"'{name}' of {count} offsets is for no square grid: give source_grid=(rows, columns)")
    old_grid = possible[0]
    if old_grid != source_grid and old_grid != possible[-1]:
        raise CheckpointError(
            f"'{name}' of {count} offsets may be for {' or '.join(map(format_shape, possible))}: give "
            'source_grid=(rows, columns)'
        )
    value = resize_offset_table(value, old_grid, new_grid, int(had_class))
    return value if has_class == had_class else value[:-3]


def _count_offsets(grid: tuple[int, int]) -> int:
    """Number of 2-D offsets between patches of a grid."""
    return (2 * grid[0] - 1) * (2 * grid[1] - 1)


def format_shape(shape: Sequence[int]) -> str:
    """A shape or grid for a message, such as '4 x 6'."""
    return ' x '.join(map(str, shape))
