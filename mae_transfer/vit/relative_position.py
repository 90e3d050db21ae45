"""Relative positions in attention: a bias for each pair of query and key that depends on the offset between them.

The biases of all pairs, (heads, N, N), are never stored. Tables of 2-D offsets are applied in tiles
(:mod:`~mae_transfer.vit.tiled_attention`) on any device; decomposed positions in tiles on a CPU, and by a longer dot
product (:func:`longer_product_attention`) on a GPU.

Measured on one CPU core, float32, 12 heads of 64: time of a training step (of the forward pass alone), as a ratio to
the plain form (scores, bias of all pairs, softmax); memory in addition to the inputs. 'Masked, fused' passes the bias
of all pairs to PyTorch's fused kernel as its mask.

============================  =============  =============  ===================  ==================  ================
case                          masked, fused  longer         tiles                memory, plain form  memory, tiles
============================  =============  =============  ===================  ==================  ================
decomposed, 64 x 64           1.07 (.54)     1.16 (.73)     .78 (.54)            2410 (2358) MiB     214 (116) MiB
decomposed, 25 of 14 x 14     .98 (.56)      .88 (.74)      .94 (.62)            299 (171) MiB       204 (84) MiB
table, 64 x 64                1.06 (1.09)    -              .55 (.28)            2499 (2309) MiB     211 (90) MiB
table, 32 x 32 and class      1.01 (1.11)    -              .71 (.33)            174 (152) MiB       41 (22) MiB
table, 25 of 14 x 14          1.06           -              .95                  197 MiB             182 MiB
============================  =============  =============  ===================  ==================  ================

These are processor times on a machine under other load; runs differ by a tenth. On a CPU the longer product is slower
at 64 x 64: tripling the width costs more than it saves in passes over the bias. In windows it takes as long as tiles
(.88 to 1.05 against .94 to 1.10) and more memory. On a GPU, where flash attention computes it, it has not been
measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention
from .design import PLAIN, Design
from .position_tables import resize_axis_table, resize_offset_table, zero_offset_table
from .tiled_attention import Tile, tiled_attention

_FLASH_WIDTH = 256  # the widest heads that flash attention supports


def make_attention(
    kind: str | None, dim: int, num_heads: int, table_grid: tuple[int, int], num_prefix: int, design: Design = PLAIN
) -> Attention:
    """Attention with relative positions of ``kind``: None or one of :data:`REL_POS_KINDS`."""
    if kind is None:
        return Attention(dim, num_heads, design)
    if kind == 'decomposed':
        return DecomposedAttention(dim, num_heads, table_grid, design)
    return TableAttention(dim, num_heads, table_grid, num_prefix, kind == 'shared', design)


class DecomposedAttention(Attention):
    """Attention with a bias that is decomposed into rows and columns (MViTv2; ViTDet's implementation).

    ``bias(q, k) = q . rel_pos_h[row(q) - row(k)] + q . rel_pos_w[column(q) - column(k)]``, with the unscaled ``q``.

    Args:
        dim, num_heads, design: as in :class:`~mae_transfer.vit.attention.Attention`.
        table_grid: (rows, columns) that the tables are for; for other grids they are resized, linearly.
    """

    def __init__(self, dim: int, num_heads: int, table_grid: tuple[int, int], design: Design = PLAIN):
        super().__init__(dim, num_heads, design)
        rows, columns = table_grid
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * rows - 1, dim // num_heads))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * columns - 1, dim // num_heads))

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int] | None = None, table: Tensor | None = None
    ) -> Tensor:
        """As in :class:`~mae_transfer.vit.attention.Attention`, over a ``grid`` of (rows, columns) without a class
        token."""
        assert grid is not None, 'relative positions need the grid of the patches'
        row_table = expand_to_pairs(resize_axis_table(self.rel_pos_h, grid[0]), grid[0]).to(q.dtype)
        column_table = expand_to_pairs(resize_axis_table(self.rel_pos_w, grid[1]), grid[1]).to(q.dtype)
        # 64 x 64 patches make heads of 192. The few grids that are too large for flash attention would fall back to
        # kernels that are slow or need much memory.
        if q.is_cuda and q.shape[-1] + sum(grid) <= _FLASH_WIDTH:
            return longer_product_attention(q, k, v, row_table, column_table)
        return tiled_attention(q, k, v, _AxisBias(grid), *axis_biases(q, row_table, column_table))


class TableAttention(Attention):
    """Attention with a learned bias for each 2-D offset and head (BEiT; Li 2021, section 3.3), independent of the
    query's content.

    Args:
        dim, num_heads, design: as in :class:`~mae_transfer.vit.attention.Attention`.
        table_grid: (rows, columns) that the table is for; for other grids it is resized, bicubic.
        num_prefix: 1 if the sequence starts with a class token. The table then ends with three more entries: class
            token to patch, patch to class token, class token to itself (BEiT's order).
        shared: the table is passed to each call; otherwise it is the parameter ``relative_position_bias_table``
            (entries, heads).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        table_grid: tuple[int, int],
        num_prefix: int = 0,
        shared: bool = False,
        design: Design = PLAIN,
    ):
        super().__init__(dim, num_heads, design)
        self.table_grid, self.num_prefix = table_grid, num_prefix
        self.relative_position_bias_table = None if shared else zero_offset_table(table_grid, num_heads, num_prefix)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int] | None = None, table: Tensor | None = None
    ) -> Tensor:
        """As in :class:`~mae_transfer.vit.attention.Attention`, over a ``grid`` of (rows, columns) after the class
        token."""
        if table is None:
            table = self.relative_position_bias_table
        assert grid is not None and table is not None, 'relative positions need the grid, and a table if it is shared'
        table = resize_offset_table(table, self.table_grid, grid, self.num_prefix)
        rows, columns = grid
        class_biases = table[(2 * rows - 1) * (2 * columns - 1) :].T
        return tiled_attention(q, k, v, _OffsetBias(grid, self.num_prefix), bias_strips(table, grid), class_biases)


def expand_to_pairs(table: Tensor, side: int) -> Tensor:
    """Entries (2 s - 1, ...) of one axis to (s queries, s keys, ...): entry ``query - key + s - 1``.

    Args:
        side: s; given, because an export takes the length of a table for a constant.
    """
    places = torch.arange(side, device=table.device)
    return table[places[:, None] - places + side - 1]


def axis_biases(q: Tensor, row_table: Tensor, column_table: Tensor) -> tuple[Tensor, Tensor]:
    """Products of queries (B, heads, N, d) with tables (rows, rows, d) and (columns, columns, d).

    Returns:
        (B, heads, N, rows), the bias for each row of keys; (B, heads, N, columns), the bias for each column of keys.
    """
    squares = q.unflatten(2, (row_table.shape[0], column_table.shape[0]))
    return (
        torch.einsum('bhrcd,rkd->bhrck', squares, row_table).flatten(2, 3),
        torch.einsum('bhrcd,ckd->bhrck', squares, column_table).flatten(2, 3),
    )


def longer_product_attention(q: Tensor, k: Tensor, v: Tensor, row_table: Tensor, column_table: Tensor) -> Tensor:
    """Decomposed positions as a longer dot product, which PyTorch's fused kernels compute.

    Queries are extended by their bias for each row and column of keys (:func:`axis_biases`), keys by a one-hot row and
    a one-hot column. Heads of d become heads of d + rows + columns; ``v`` is padded to the same width, as flash
    attention requires.
    """
    dim = q.shape[-1]
    rows, columns = len(row_table), len(column_table)
    one_hot_rows = torch.eye(rows, dtype=k.dtype, device=k.device).repeat_interleave(columns, 0)
    one_hot_columns = torch.eye(columns, dtype=k.dtype, device=k.device).repeat(rows, 1)
    one_hot = torch.cat([one_hot_rows, one_hot_columns], 1).expand(*k.shape[:2], -1, -1)
    # The kernel scales the whole product. To undo that, scale the tables: they are smaller than the queries.
    biases = axis_biases(q, row_table * dim**0.5, column_table * dim**0.5)
    padding = -(dim + rows + columns) % 8  # kernels want multiples of 16 bytes
    q = F.pad(torch.cat([q, *biases], -1), (0, padding))
    k = F.pad(torch.cat([k, one_hot], -1), (0, padding))
    v = F.pad(v, (0, q.shape[-1] - dim))
    return F.scaled_dot_product_attention(q, k, v, scale=dim**-0.5)[..., :dim]


class _AxisBias:
    """The bias of :func:`axis_biases`, from its tensors (B, heads, N, rows) and (B, heads, N, columns)."""

    def __init__(self, grid: tuple[int, int]):
        self.grid = grid

    def add_bias(self, scores: Tensor, tensors: tuple[Tensor, ...], tile: Tile) -> None:
        row_biases, column_biases = tensors
        squares = scores.unflatten(3, self.grid)
        squares += row_biases[tile][..., None]
        squares += column_biases[tile][..., None, :]

    def add_gradient(self, scores_grad: Tensor, grads: tuple[Tensor, ...], tile: Tile) -> None:
        row_grad, column_grad = grads
        squares = scores_grad.unflatten(3, self.grid)
        row_grad[tile] = squares.sum(-1)
        column_grad[tile] = squares.sum(-2)

    def whole(self, tensors: tuple[Tensor, ...]) -> Tensor:
        row_biases, column_biases = tensors
        return (row_biases[..., None] + column_biases[..., None, :]).flatten(3)


def bias_strips(table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Expand a table of 2-D offsets (entries, heads) to pairs of columns, but not of rows: (heads, columns, 2 rows - 1,
    columns).

    Entry [head, query's column, rows - 1 - query's row + key's row, key's column]: the biases of a query with all keys
    are a slice.
    """
    rows, columns = grid
    lines = table[: (2 * rows - 1) * (2 * columns - 1)].unflatten(0, (2 * rows - 1, 2 * columns - 1))
    return expand_to_pairs(lines.flip(0).transpose(0, 1), columns).permute(3, 0, 2, 1).contiguous()


class _OffsetBias:
    """The bias of :func:`bias_strips` between patches, and that of a class token (heads, 3), or (heads, 0) if there is
    none."""

    def __init__(self, grid: tuple[int, int], num_prefix: int):
        self.grid, self.num_prefix = grid, num_prefix

    def add_bias(self, scores: Tensor, tensors: tuple[Tensor, ...], tile: Tile) -> None:
        strips, class_biases = tensors
        for part, index in self._patch_parts(scores, tile):
            part += strips[index]
        for number, part in enumerate(self._class_parts(scores, tile)):
            part += class_biases[tile[1], number, None, None]

    def add_gradient(self, scores_grad: Tensor, grads: tuple[Tensor, ...], tile: Tile) -> None:
        strips_grad, class_grad = grads
        for part, index in self._patch_parts(scores_grad, tile):
            strips_grad[index] += part.sum(0)
        for number, part in enumerate(self._class_parts(scores_grad, tile)):
            class_grad[tile[1], number] += part.sum((0, 2, 3))

    def whole(self, tensors: tuple[Tensor, ...]) -> Tensor:
        strips, class_biases = tensors
        rows, columns = self.grid
        sides = (torch.arange(side, device=strips.device) for side in self.grid)
        row, column = (numbers.flatten() for numbers in torch.meshgrid(*sides, indexing='ij'))  # of each patch
        places = (column[:, None] * (2 * rows - 1) + rows - 1 - row[:, None] + row) * columns + column  # in the strips
        bias = strips.flatten(1)[:, places]
        if self.num_prefix:
            to_patches, to_class, to_itself = class_biases.T[:, :, None, None]
            first = torch.cat([to_itself, to_patches.expand_as(bias[:, :1])], 2)
            bias = torch.cat([first, torch.cat([to_class.expand_as(bias[:, :, :1]), bias], 2)], 1)
        return bias[None]

    def _num_class_queries(self, tile: Tile) -> int:
        return self.num_prefix if tile[2].start == 0 else 0

    def _patch_parts(self, scores: Tensor, tile: Tile) -> Iterator[tuple[Tensor, Tile]]:
        """For each row of queries in the tile: scores between patches (b, h, queries, rows, columns), and the index of
        their biases in the strips."""
        rows, columns = self.grid
        without_class_query = scores[:, :, self._num_class_queries(tile) :]
        squares = without_class_query[..., self.num_prefix :].unflatten(3, self.grid)
        # Numbers of the tile's first patch and of the one after its last: the class token is no patch.
        first = max(0, tile[2].start - self.num_prefix)
        end = max(0, tile[2].stop - self.num_prefix)
        for row in range(first // columns, -(-end // columns)):
            row_start = row * columns
            start, stop = max(first, row_start), min(end, row_start + columns)
            query_columns = slice(start - row_start, stop - row_start)
            key_rows = slice(rows - 1 - row, 2 * rows - 1 - row)
            yield squares[:, :, start - first : stop - first], (tile[1], query_columns, key_rows)

    def _class_parts(self, scores: Tensor, tile: Tile) -> Iterator[Tensor]:
        """Scores (b, h, ...) that involve the class token: from it to patches, from patches to it, to itself."""
        if self.num_prefix:
            num_class = self._num_class_queries(tile)
            yield scores[:, :, :num_class, 1:]
            yield scores[:, :, num_class:, :1]
            yield scores[:, :, :num_class, :1]
