"""Resize the weights of a checkpoint to the shapes that a ViT has, where that is meaningful."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import CheckpointError
from ..position import resize_pos_embed
from ..position_tables import is_rel_pos_table, rel_pos_kind, resize_axis_table, resize_offset_table
from .source_grid import SourceGrid, format_shape


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
    source: SourceGrid | None,
) -> Tensor:
    """A weight of a checkpoint, resized if the model's shape differs and this weight can be resized.

    ``pos_embed`` and relative positions are resized to the ViT's grid, ``patch_embed.proj`` to its patch size (bicubic,
    as ViTDet goes from 14 to 16) and its number of channels (:func:`inflate_channels`). Entries for a class token are
    dropped if the model has none.

    Args:
        name, value: one of the weights of ``encoder``, whose name is in ``target``.
        vit: the model, of state dict ``target``.
        source: the grid of the checkpoint's ``pos_embed``; None if it has none.

    Returns:
        The same tensor where nothing had to be done, or nothing can be done.

    Raises:
        CheckpointError: values that are not finite; positions of an unknown grid.
    """
    check_finite(name, value)
    wanted = target[name].shape
    if name == 'pos_embed' and source:
        return _fit_positions(value, grid_of(vit), 'cls_token' in encoder, 'cls_token' in target, source.grid)
    if is_rel_pos_table(name) and isinstance(vit, KnowsItsGrids) and value.ndim == 2 and value.shape[1] == wanted[1]:
        had_class = 'cls_token' in encoder and rel_pos_kind(name) != 'decomposed'
        return _fit_rel_pos_table(name, value, vit, had_class, source.grid if source and source.is_known else None)
    if name == 'patch_embed.proj.weight' and value.ndim == 4:
        value = inflate_channels(value, wanted[1])
        if value.shape != wanted:
            value = F.interpolate(value.float(), size=wanted[2:], mode='bicubic', align_corners=False)
    return value


def check_finite(name: str, value: Tensor) -> None:
    """Raise ``CheckpointError`` for a weight with values that are not finite."""
    if not torch.isfinite(value).all():
        raise CheckpointError(f"'{name}' holds values that are not finite: the checkpoint is of a run that diverged")


def inflate_channels(weight: Tensor, channels: int) -> Tensor:
    """A patch embedding (D, C, p, p) for another number of channels: the mean over its own, repeated, times C /
    ``channels``.

    An image whose channels are all equal thus has the embedding that it had before with C of them.

    Returns:
        (D, ``channels``, p, p); the input itself if it has as many.
    """
    if weight.shape[1] == channels:
        return weight
    share = weight.double().sum(dim=1, keepdim=True) / channels
    return share.to(weight.dtype).repeat(1, channels, 1, 1)


def describe_inflation(old: int, new: int) -> str:
    """What :func:`inflate_channels` did, for a report."""
    return f'inflated from {old} to {channel_count(new)} (mean over {channel_names(old)}, times {old}/{new})'


def channel_count(number: int) -> str:
    """'1 channel', '2 channels'."""
    return f'{number} channel{"s" * (number > 1)}'


def channel_names(number: int) -> str:
    """What a report calls the channels of a checkpoint."""
    return 'RGB' if number == 3 else f'its {number} channels' if number > 1 else 'its only channel'


def _fit_positions(
    value: Tensor, new_grid: tuple[int, int], had_class: bool, has_class: bool, old_grid: tuple[int, int]
) -> Tensor:
    """``pos_embed`` (1, class + N, D) for another grid, with or without the class token's row."""
    if has_class and not had_class:
        raise CheckpointError('the checkpoint has no class token; the model has one: choose class_token=False')
    if old_grid != new_grid:
        value = resize_pos_embed(value.float(), old_grid, new_grid, int(had_class))
    return value if has_class == had_class else value[:, 1:]


def grid_of(vit: nn.Module) -> tuple[int, int]:
    """(rows, columns) that the positions of a ViT, ours or timm's, are for."""
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
