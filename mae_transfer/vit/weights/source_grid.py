"""Which grid of patches the positions of a checkpoint are for: their number alone does not say, 256 may be 16 x 16 or
8 x 32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import CheckpointError, UserError
from ..position import sincos_grid
from ..sizes import resolve_size
from .folder_config import config_beside
from .stated_config import stated_setting

#: The key, within a file's ``meta``, under which a converted file states its grid.
STATED = 'vit_grid'


class SourceGrid(NamedTuple):
    """The grid of a checkpoint's positions.

    Attributes:
        grid: (rows, columns).
        origin: how it is known, for the report.
        is_known: False where it was only assumed.
        is_table: whether the positions themselves show it, being a sin-cos table.
    """

    grid: tuple[int, int]
    origin: str
    is_known: bool = True
    is_table: bool = False

    def __str__(self) -> str:
        return f'{format_shape(self.grid)} patches ({self.origin})'


def stated_grid(meta: Any) -> SourceGrid | None:
    """The grid that a file's ``meta`` states: in so many words, or by the config of the run that wrote it.

    The config is parsed, never run.
    """
    if not isinstance(meta, Mapping):
        return None
    stated = meta.get(STATED)
    if isinstance(stated, (list, tuple)) and len(stated) == 2 and all(isinstance(side, int) for side in stated):
        return SourceGrid((stated[0], stated[1]), 'the file says so')
    model = stated_setting(meta, 'model')
    model = model if isinstance(model, Mapping) else {}
    vit = next((model[name] for name in ('vit', 'backbone') if isinstance(model.get(name), Mapping)), None)
    if vit is None:
        return None
    try:
        size = resolve_size(vit.get('arch', 'base'))
        patch, sides = vit.get('patch_size') or size.patch_size, vit.get('img_size', 224)
        height, width = (sides, sides) if isinstance(sides, int) else sides
        return SourceGrid((height // patch, width // patch), "the file's config")
    except (TypeError, ValueError, UserError):  # a backbone that is no ViT of ours
        return None


def stated_beside(path: Path) -> SourceGrid | None:
    """The grid that the ``config.json`` of a Hugging Face model states, beside its weights."""
    try:
        config = config_beside(path)
        sides, patch = config['image_size'], config['patch_size']
        height, width = (sides, sides) if isinstance(sides, int) else sides
        return SourceGrid((height // patch, width // patch), 'config.json beside it')
    except (KeyError, TypeError, ValueError):  # no such file, or of another kind of model
        return None


def known_grid(patches: Tensor, stated: SourceGrid | None) -> SourceGrid | None:
    """The grid that positions (N, D) are known to be for: as their sin-cos table shows, or as their file states; a
    stated grid of another number of patches is not theirs."""
    if table := sincos_grid(patches):
        return SourceGrid(table, 'its sin-cos table', is_table=True)
    return stated if stated and _count(stated.grid) == len(patches) else None


def find_source_grid(
    patches: Tensor, stated: SourceGrid | None, given: tuple[int, int] | None, model_grid: tuple[int, int] | None = None
) -> SourceGrid:
    """The grid of a checkpoint's ``pos_embed``: as its sin-cos table shows, the file states, the caller says; else a
    square, or the model's grid.

    Args:
        patches: (N, D), the positions of the patches without that of a class token.
        stated: see :func:`stated_grid`.
        given: what the user says, ``source_grid``.
        model_grid: that of the model to load into.

    Raises:
        CheckpointError: none is possible, several are, or ``given`` is not that of the checkpoint.
    """
    count, known = len(patches), known_grid(patches, stated)
    if given is not None:
        given = checked_grid(given)
        if _count(given) != count:
            raise CheckpointError(
                f'pos_embed is for {count} patches; source_grid {format_shape(given)} has {_count(given)}'
            )
        if known and known.grid != given:
            raise CheckpointError(f'pos_embed is for {known}, not for source_grid {format_shape(given)}: leave it out')
        return known or SourceGrid(given, 'source_grid')
    if known:
        return known
    side = round(count**0.5)
    advice = (
        'give source_grid=(rows, columns), in a config as model.vit.init_cfg.source_grid, for detection and '
        'segmentation as model.backbone.init_cfg.source_grid'
    )
    is_square, is_same = side * side == count, model_grid is not None and _count(model_grid) == count
    if model_grid and is_square and is_same and model_grid != (side, side):
        raise CheckpointError(
            f'pos_embed of {count} patches may be for {side} x {side} or for {format_shape(model_grid)}, as the model '
            f'is: {advice}'
        )
    if is_square:
        return SourceGrid((side, side), 'taken as a square: the file does not say', is_known=False)
    if model_grid and is_same:
        return SourceGrid(model_grid, 'taken as the model is: the file does not say', is_known=False)
    raise CheckpointError(f'pos_embed of {count} patches is for no square grid: {advice}')


def shown_grid(state: Mapping[str, Tensor]) -> SourceGrid | None:
    """The grid that positions of shape (1, H, W, D) show (SAM); None for all others."""
    for name, value in state.items():
        if name.rpartition('.')[2] == 'pos_embed' and isinstance(value, Tensor) and value.ndim == 4:
            return SourceGrid((value.shape[1], value.shape[2]), 'the shape of its table')
    return None


def add_class_row(
    encoder: Mapping[str, Tensor], *grids: tuple[int, int] | None
) -> tuple[dict[str, Tensor], str | None]:
    """An encoder whose ``pos_embed`` begins with a row for the class token, if there is one, and has none for
    registers; the tokens are the same.

    A table may have no row for a class token (timm's ``no_embed_class``: DeiT III, DINOv2 with registers): it is given
    one of zeros. Or it may have rows for registers, too: they are added to the registers. Which it is, the number of
    patches shows that remains: that of one of ``grids``, or of a square.

    Args:
        encoder: canonical names.
        grids: (rows, columns) that the table may be for.

    Returns:
        The encoder, and what was done to its table, for the report; None for nothing.
    """
    weights = dict(encoder)
    table, registers, num_class = weights.get('pos_embed'), weights.get('reg_token'), int('cls_token' in weights)
    num_registers = 0 if registers is None else registers.shape[1]
    if table is None or table.ndim != 3 or num_class + num_registers == 0 or sincos_grid(table[0, num_class:]):
        return weights, None
    counts = {_count(grid) for grid in grids if grid}

    def may_be_patches(count: int) -> bool:
        return count > 0 and (count in counts or round(count**0.5) ** 2 == count)

    choices = (num_class, 0, num_class + num_registers)
    num_rows = next((rows for rows in choices if may_be_patches(table.shape[1] - rows)), num_class)
    if num_rows == num_class:
        return weights, None
    count = table.shape[1] - num_rows
    if num_rows == 0:
        weights['pos_embed'] = F.pad(table, (0, 0, num_class, 0))
        return weights, f'pos_embed: of {count} patches alone, a row of zeros for the class token put in front'
    weights['reg_token'] = weights['reg_token'] + table[:, num_class:num_rows]
    weights['pos_embed'] = torch.cat([table[:, :num_class], table[:, num_rows:]], dim=1)
    return weights, f'pos_embed: {num_registers} of its rows added to the registers'


def patch_positions(encoder: Mapping[str, Tensor]) -> Tensor | None:
    """The positions (N, D) of the patches of an encoder of canonical names; None if it has none."""
    table = encoder.get('pos_embed')
    return None if table is None or table.ndim != 3 else table[0, int('cls_token' in encoder) :]


def checked_grid(grid: Any) -> tuple[int, int]:
    """A grid that a user gave, as (rows, columns); raises ``CheckpointError`` if it is none."""
    if not isinstance(grid, (list, tuple)) or len(grid) != 2 or not all(isinstance(n, int) and n > 0 for n in grid):
        raise CheckpointError(f'source_grid is (rows, columns) of patches, e.g. (8, 32); found {grid!r}')
    return grid[0], grid[1]


def _count(grid: tuple[int, int]) -> int:
    return grid[0] * grid[1]


def format_shape(shape: tuple[int, ...]) -> str:
    """A shape or grid for a message, such as '4 x 6'."""
    return ' x '.join(map(str, shape))
