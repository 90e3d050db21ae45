"""Tables of relative positions: their kinds, names and sizes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError

#: The values of ``ViT(rel_pos=...)``, except None.
REL_POS_KINDS = ('decomposed', 'shared', 'table')

#: Last part of a parameter's name -> the kind of relative positions that it belongs to.
_KIND_OF_NAME = dict(
    rel_pos_h='decomposed',
    rel_pos_w='decomposed',
    rel_pos_window='shared',
    rel_pos_global='shared',
    relative_position_bias_table='table',
)


def rel_pos_kind(name: str) -> str | None:
    """The kind of relative positions that a parameter of a ViT, given by name, belongs to; None for all others."""
    return _KIND_OF_NAME.get(name.rpartition('.')[2])


def is_rel_pos_table(name: str) -> bool:
    """Whether a parameter of a ViT, given by name, is a table of relative positions."""
    return rel_pos_kind(name) is not None


def check_rel_pos(kind: str | None, class_token: bool, registers: int, img_size: Any) -> None:
    """Raise ``UserError`` unless a ViT with these parts can have relative positions of ``kind``, with tables for
    ``img_size``, if that is given."""
    if kind is None:
        if img_size is not None:
            raise UserError(
                f'rel_pos_img_size={img_size} has no effect without rel_pos: choose {", ".join(REL_POS_KINDS)}'
            )
        return
    if kind not in REL_POS_KINDS:
        raise UserError(f"unknown rel_pos '{kind}': choose one of {', '.join(REL_POS_KINDS)}, or None")
    if class_token and kind == 'decomposed':
        raise UserError("rel_pos='decomposed' needs class_token=False: only tables have entries for a class token")
    if registers:
        raise UserError(
            f"rel_pos='{kind}' has no entries for registers={registers}: choose rel_pos=None, or registers=0"
        )


def zero_offset_table(grid: tuple[int, int], num_heads: int, num_prefix: int = 0) -> nn.Parameter:
    """A table of zeros for :class:`TableAttention`: ((2 rows - 1) (2 columns - 1) + 3 per class token, heads)."""
    rows, columns = grid
    return nn.Parameter(torch.zeros((2 * rows - 1) * (2 * columns - 1) + 3 * num_prefix, num_heads))


def resize_axis_table(table: Tensor, side: int) -> Tensor:
    """Resize a table of offsets along one axis, (2 s - 1, d), to (2 side - 1, d), linearly as in ViTDet; the table
    itself if it fits."""
    length = 2 * side - 1
    if len(table) == length:
        return table
    return F.interpolate(table.float().T[None], size=length, mode='linear', align_corners=False)[0].T.to(table.dtype)


def resize_offset_table(
    table: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int], num_prefix: int = 0
) -> Tensor:
    """Resize a table of 2-D offsets (entries, heads) to another grid, bicubic; its last entries, for the class token,
    stay."""
    if tuple(old_grid) == tuple(new_grid):
        return table
    old, new = ([2 * side - 1 for side in grid] for grid in (old_grid, new_grid))
    offsets, class_entries = table.split([old[0] * old[1], 3 * num_prefix])
    offsets = F.interpolate(offsets.float().T.unflatten(1, old)[None], size=new, mode='bicubic', align_corners=False)
    return torch.cat([offsets[0].flatten(1).T.to(table.dtype), class_entries])
