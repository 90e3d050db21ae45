"""Relative positions in attention: biases that depend on how far a key lies from a query.

No bias of (heads, N, N) is ever stored. Decomposed positions have two forms: tiles
(:mod:`~mae_transfer.vit.tiled_attention`) on a CPU, and a longer dot product (:func:`longer_attention`) on a GPU;
tables by 2-D offset have tiles everywhere.

Measured against the plain form (scores, whole bias, softmax), which is 1 for time; memory is above the inputs. One CPU
core, float32, 12 heads of 64, training step (forward alone):

============================  =============  =============  ===================  ==================  ================
case                          masked, fused  longer         tiles                memory, plain form  memory, tiles
============================  =============  =============  ===================  ==================  ================
decomposed, 64 x 64           1.07 (.54)     1.16 (.73)     .78 (.54)            2410 (2358) MiB     214 (116) MiB
decomposed, 25 of 14 x 14     .98 (.56)      .88 (.74)      .94 (.62)            299 (171) MiB       204 (84) MiB
table, 64 x 64                1.06 (1.09)    -              .55 (.28)            2499 (2309) MiB     211 (90) MiB
table, 32 x 32 and class      1.01 (1.11)    -              .71 (.33)            174 (152) MiB       41 (22) MiB
table, 25 of 14 x 14          1.06           -              .95                  197 MiB             182 MiB
============================  =============  =============  ===================  ==================  ================

Processor time on a machine that others loaded too; runs differ by a tenth. On a CPU the longer product thus loses at 64
x 64, where three times the width costs more than the passes over a bias that it saves; in windows it is level with
tiles in time (.88 to 1.05 against .94 to 1.10) and takes more memory. On a GPU, where it is flash attention's work, it
has not been measured.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention
from .tiled_attention import tiled_attention

#: What ``ViT(rel_pos=...)`` takes, beside None.
KINDS = ('decomposed', 'shared', 'table')

#: Which of them a parameter's name stands for.
_NAMES = dict(
    rel_pos_h='decomposed',
    rel_pos_w='decomposed',
    rel_pos_window='shared',
    rel_pos_global='shared',
    relative_position_bias_table='table',
)

_FLASH_WIDTH = 256  # the widest head that flash attention takes


def kind_of(name: str) -> str | None:
    """The kind of relative positions that a parameter of a ViT, by its name, is a table of; None for all other
    parameters."""
    return _NAMES.get(name.rpartition('.')[2])


def is_table(name: str) -> bool:
    """Whether a parameter of a ViT is a table of relative positions."""
    return kind_of(name) is not None


def make_attention(
    kind: str | None, dim: int, num_heads: int, table_grid: tuple[int, int], num_prefix: int
) -> Attention:
    """The attention of a block whose relative positions are of ``kind``: None or one of :data:`KINDS`."""
    if kind is None:
        return Attention(dim, num_heads)
    if kind == 'decomposed':
        return DecomposedAttention(dim, num_heads, table_grid)
    return TableAttention(dim, num_heads, table_grid, num_prefix, shared=kind == 'shared')


class DecomposedAttention(Attention):
    """Attention with a bias that is decomposed over rows and columns (MViTv2; ViTDet's implementation).

    ``bias(q, k) = q . rel_pos_h[row(q) - row(k)] + q . rel_pos_w[column(q) - column(k)]``, with ``q`` before its
    scaling.

    Args:
        dim, num_heads: as of :class:`~mae_transfer.vit.attention.Attention`.
        table_grid: (rows, columns) that the tables are for; resized for others, linearly.
    """

    def __init__(self, dim: int, num_heads: int, table_grid: tuple[int, int]):
        super().__init__(dim, num_heads)
        self.rel_pos_h, self.rel_pos_w = (
            nn.Parameter(torch.zeros(2 * side - 1, dim // num_heads)) for side in table_grid
        )

    def attend(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int], table: None = None) -> Tensor:
        """As of :class:`~mae_transfer.vit.attention.Attention`, over a ``grid`` of (rows, columns) without other
        tokens."""
        tables = [
            by_offset(resize_line(table, side)).to(q.dtype)
            for table, side in zip((self.rel_pos_h, self.rel_pos_w), grid)
        ]
        # 64 x 64 patches make heads of 192; the few grids too large for flash attention would fall to its slow or
        # hungry relatives.
        if q.is_cuda and q.shape[-1] + sum(grid) <= _FLASH_WIDTH:
            return longer_attention(q, k, v, *tables)
        return tiled_attention(q, k, v, _Lines(grid), *by_line(q, *tables))


class TableAttention(Attention):
    """Attention with a bias for each 2-D offset and head (BEiT; Li 2021, section 3.3), whatever the query holds.

    Args:
        dim, num_heads: as of :class:`~mae_transfer.vit.attention.Attention`.
        table_grid: (rows, columns) that the table is for; resized for others, bicubic.
        num_prefix: 1 where a class token leads the sequence; the table then ends in three more entries: class token to
            patch, patch to class token, class token to itself (BEiT's order).
        shared: the table is handed in with each call; otherwise it is ``relative_position_bias_table`` (entries,
            heads).
    """

    def __init__(
        self, dim: int, num_heads: int, table_grid: tuple[int, int], num_prefix: int = 0, shared: bool = False
    ):
        super().__init__(dim, num_heads)
        self.table_grid, self.num_prefix = table_grid, num_prefix
        self.relative_position_bias_table = None if shared else offset_table(table_grid, num_heads, num_prefix)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int], table: Tensor | None = None) -> Tensor:
        """As of :class:`~mae_transfer.vit.attention.Attention`, over a ``grid`` of (rows, columns) behind the class
        token."""
        table = self.relative_position_bias_table if table is None else table
        table = resize_table(table, self.table_grid, grid, self.num_prefix)
        edges = table[len(table) - 3 * self.num_prefix :].T
        return tiled_attention(q, k, v, _Offsets(grid, self.num_prefix), strips(table, grid), edges)


def offset_table(grid: tuple[int, int], num_heads: int, num_prefix: int = 0) -> nn.Parameter:
    """A table of zeros for :class:`TableAttention`: ((2 rows - 1) (2 columns - 1) + 3 per class token, heads)."""
    rows, columns = grid
    return nn.Parameter(torch.zeros((2 * rows - 1) * (2 * columns - 1) + 3 * num_prefix, num_heads))


def resize_line(table: Tensor, side: int) -> Tensor:
    """A table of offsets (2 s - 1, d) for another side: (2 side - 1, d), linear as in ViTDet; itself where it fits."""
    length = 2 * side - 1
    if len(table) == length:
        return table
    return F.interpolate(table.float().T[None], size=length, mode='linear', align_corners=False)[0].T.to(table.dtype)


def resize_table(table: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int], num_prefix: int = 0) -> Tensor:
    """A table of 2-D offsets (entries, heads) for another grid, bicubic; its last entries, for the class token,
    stay."""
    if tuple(old_grid) == tuple(new_grid):
        return table
    old, new = ([2 * side - 1 for side in grid] for grid in (old_grid, new_grid))
    offsets, edges = table.split([old[0] * old[1], 3 * num_prefix])
    offsets = F.interpolate(offsets.float().T.unflatten(1, old)[None], size=new, mode='bicubic', align_corners=False)
    return torch.cat([offsets[0].flatten(1).T.to(table.dtype), edges])


def by_offset(table: Tensor) -> Tensor:
    """Entries (2 s - 1, ...) of one axis to (s queries, s keys, ...): entry ``query - key + s - 1``."""
    side = (len(table) + 1) // 2
    places = torch.arange(side, device=table.device)
    return table[places[:, None] - places + side - 1]


def by_line(q: Tensor, by_row: Tensor, by_column: Tensor) -> tuple[Tensor, Tensor]:
    """Products of queries (B, heads, N, d) with their tables, (rows, rows, d) and (columns, columns, d).

    Returns:
        (B, heads, N, rows), what each row of keys gets; and (B, heads, N, columns), what each column gets.
    """
    squares = q.unflatten(2, (len(by_row), len(by_column)))
    return (
        torch.einsum('bhrcd,rkd->bhrck', squares, by_row).flatten(2, 3),
        torch.einsum('bhrcd,ckd->bhrck', squares, by_column).flatten(2, 3),
    )


def longer_attention(q: Tensor, k: Tensor, v: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    """Decomposed positions as a longer dot product, which PyTorch's fused kernels compute.

    Queries are extended by what each row and column of keys gets (:func:`by_line`), keys by a one for their row and a
    one for their column. Heads of d become heads of d + rows + columns; ``v`` is padded to that, because flash
    attention wants one width.
    """
    dim = q.shape[-1]
    rows, columns = len(by_row), len(by_column)
    row_ones = torch.eye(rows, dtype=k.dtype, device=k.device).repeat_interleave(columns, 0)
    column_ones = torch.eye(columns, dtype=k.dtype, device=k.device).repeat(rows, 1)
    ones = torch.cat([row_ones, column_ones], 1).expand(*k.shape[:2], -1, -1)
    # The kernel scales the whole product: the tables are divided by that, not the larger queries.
    more = by_line(q, by_row * dim**0.5, by_column * dim**0.5)
    fill = -(dim + rows + columns) % 8  # kernels want multiples of 16 bytes
    q, k = F.pad(torch.cat([q, *more], -1), (0, fill)), F.pad(torch.cat([k, ones], -1), (0, fill))
    return F.scaled_dot_product_attention(q, k, F.pad(v, (0, q.shape[-1] - dim)), scale=dim**-0.5)[..., :dim]


class _Lines:
    """The bias of :func:`by_line`: tensors (B, heads, N, rows) and (B, heads, N, columns)."""

    def __init__(self, grid: tuple[int, int]):
        self.grid = grid

    def add(self, scores: Tensor, tensors: tuple[Tensor, ...], tile: tuple[slice, slice, slice]) -> None:
        by_row, by_column = tensors
        squares = scores.unflatten(3, self.grid)
        squares += by_row[tile][..., None]
        squares += by_column[tile][..., None, :]

    def collect(self, grad: Tensor, grads: tuple[Tensor, ...], tile: tuple[slice, slice, slice]) -> None:
        squares = grad.unflatten(3, self.grid)
        for lines, axis in zip(grads, (-1, -2)):
            lines[tile] = squares.sum(axis)


def strips(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """A table of 2-D offsets (entries, heads), spread over columns but not over rows: (heads, columns, 2 rows - 1,
    columns).

    Entry [head, query's column, rows - 1 - query's row + key's row, key's column]: the bias of a query is a slice of
    it.
    """
    rows, columns = grid
    lines = table[: (2 * rows - 1) * (2 * columns - 1)].unflatten(0, (2 * rows - 1, 2 * columns - 1))
    return by_offset(lines.flip(0).transpose(0, 1)).permute(3, 0, 2, 1).contiguous()


class _Offsets:
    """The bias of :func:`strips`, behind a class token with edges (heads, 3), or (heads, 0) without one."""

    def __init__(self, grid: tuple[int, int], num_prefix: int):
        self.grid, self.num_prefix = grid, num_prefix

    def _slices(self, scores: Tensor, tile: tuple[slice, slice, slice]):
        """Scores (b, h, columns, rows, columns) of the patches in each row of queries, and where their strips lie."""
        rows, columns = self.grid
        first, last = (max(0, n - self.num_prefix) for n in (tile[2].start, tile[2].stop))
        squares = scores[..., self.num_prefix :].unflatten(3, self.grid)[:, :, self.num_prefix * (tile[2].start == 0) :]
        for row in range(first // columns, -(-last // columns)):
            start, stop = max(first, row * columns), min(last, (row + 1) * columns)
            where = (
                tile[1],
                slice(start - row * columns, stop - row * columns),
                slice(rows - 1 - row, 2 * rows - 1 - row),
            )
            yield squares[:, :, start - first : stop - first], where

    def _edges(self, scores: Tensor, tile: tuple[slice, slice, slice]):
        """Scores (b, h, ...) with the class token: from it to patches, from patches to it, to itself."""
        if self.num_prefix:
            here = int(tile[2].start == 0)  # whether the class token is among the queries
            yield from (scores[:, :, :here, 1:], scores[:, :, here:, :1], scores[:, :, :here, :1])

    def add(self, scores: Tensor, tensors: tuple[Tensor, ...], tile: tuple[slice, slice, slice]) -> None:
        offsets, edges = tensors
        for part, where in self._slices(scores, tile):
            part += offsets[where]
        for number, part in enumerate(self._edges(scores, tile)):
            part += edges[tile[1], number, None, None]

    def collect(self, grad: Tensor, grads: tuple[Tensor, ...], tile: tuple[slice, slice, slice]) -> None:
        offsets, edges = grads
        for part, where in self._slices(grad, tile):
            offsets[where] += part.sum(0)
        for number, part in enumerate(self._edges(grad, tile)):
            edges[tile[1], number] += part.sum((0, 2, 3))
