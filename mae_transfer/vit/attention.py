"""Multi-head attention, over all tokens or within windows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .design import PLAIN, Design
from .places import Places

#: Up to this product of tokens and channels of a head, training on a CPU attends in float32 instead of bfloat16:
#: PyTorch's backward pass in bfloat16 is slower there, by a factor of up to five (docs/performance.md).
_FASTER_IN_FLOAT32 = 20_000


class Attention(nn.Module):
    """Multi-head self-attention over a sequence, computed by PyTorch's fused kernel.

    Parameter names are timm's: ``qkv`` (one fused matrix), ``q_bias`` and ``v_bias`` where keys have no bias,
    ``q_norm``, ``k_norm``, ``norm`` and ``proj``.
    """

    def __init__(self, dim: int, num_heads: int, design: Design = PLAIN):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=design.qkv_bias == 'qkv')
        self.q_bias = nn.Parameter(torch.zeros(dim)) if design.qkv_bias == 'qv' else None
        self.v_bias = nn.Parameter(torch.zeros(dim)) if design.qkv_bias == 'qv' else None
        self.q_norm = design.norm(dim // num_heads) if design.qk_norm else nn.Identity()
        self.k_norm = design.norm(dim // num_heads) if design.qk_norm else nn.Identity()
        self.norm = design.norm(dim) if design.attention_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    @property
    def bias(self) -> Tensor | None:
        """The bias (3 * D) of queries, keys and values."""
        if self.q_bias is None or self.v_bias is None:
            return self.qkv.bias
        return torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])

    def forward(self, x: Tensor, places: Places | None = None, window_size: int = 0, first: int = 0) -> Tensor:
        """(B, N, D) to (B, N - first, D).

        Args:
            places: of the tokens, or, where there are windows, of those of a window; windows need the grid.
            window_size: side of the windows to which attention is confined; 0 for all tokens.
            first: tokens before this number are attended to, but not computed; without places and windows only.
        """
        if first:
            return self.proj(self.norm(self._attend_from(x, first)))
        qkv = self.qkv(x) if self.q_bias is None else F.linear(x, self.qkv.weight, self.bias)
        if not window_size:
            return self.proj(self.norm(self._attend_fused(qkv, places)))
        if places is None:
            raise ValueError(f'windows of {window_size} need the grid of the patches')
        # ViTDet pads with zeros before the qkv map, which turns them into its bias: padding afterwards with the bias
        # gives the same values, and nothing is computed for the padding.
        windows = split_windows(qkv, places.grid, window_size, self.bias)
        x = self._attend_fused(windows, places._replace(grid=(window_size, window_size)))
        return self.proj(self.norm(join_windows(x, places.grid, window_size)))

    def _attend_fused(self, qkv: Tensor, places: Places | None) -> Tensor:
        """Output of the qkv map (B, N, 3 * D) to attended values (B, N, D)."""
        q, k, v = self.split(qkv, places)
        grid, table = (None, None) if places is None else (places.grid, places.table)
        return self.attend(q, k, v, grid, table).transpose(1, 2).flatten(2)

    def split(self, qkv: Tensor, places: Places | None) -> tuple[Tensor, Tensor, Tensor]:
        """Output of the qkv map (B, N, 3 * D) to queries, keys and values (B, heads, N, d), as :meth:`attend` takes
        them: queries and keys normalised and turned, where the design has that."""
        q, k, v = qkv.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_norm(q), self.k_norm(k)
        if places is not None and places.turn is not None:
            q, k = places.turn(q), places.turn(k)
        return q, k, v

    def _attend_from(self, x: Tensor, first: int) -> Tensor:
        """Tokens (B, N, D) to attended values (B, N - first, D) of those from number ``first`` on."""
        dim, bias = x.shape[2], self.bias
        own, others = (None, None) if bias is None else (bias[:dim], bias[dim:])
        q = F.linear(x[:, first:], self.qkv.weight[:dim], own).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        kv = F.linear(x, self.qkv.weight[dim:], others)
        k, v = kv.unflatten(2, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return self.attend(self.q_norm(q), self.k_norm(k), v).transpose(1, 2).flatten(2)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int] | None = None, table: Tensor | None = None
    ) -> Tensor:
        """Queries, keys and values (B, heads, N, d) to attended values (B, heads, N, d).

        Args:
            grid, table: as in :class:`~mae_transfer.vit.places.Places`; only relative positions use them.
        """
        is_short = q.shape[-2] * q.shape[-1] <= _FASTER_IN_FLOAT32
        is_on_cpu = q.device.type == 'cpu' and not q.is_cuda  # the plan of a GPU's memory answers the second question
        if is_short and is_on_cpu and q.dtype is torch.bfloat16 and q.requires_grad:
            with torch.autocast('cpu', enabled=False):
                return F.scaled_dot_product_attention(q.float(), k.float(), v.float()).to(q.dtype)
        return F.scaled_dot_product_attention(q, k, v)


def count_windows(grid: tuple[int, int], size: int) -> tuple[int, int]:
    """Windows of a grid from top to bottom and from left to right, with those that reach beyond it."""
    return (grid[0] + size - 1) // size, (grid[1] + size - 1) // size


def split_windows(x: Tensor, grid: tuple[int, int], size: int, padding: Tensor | None = None) -> Tensor:
    """Split the tokens of a grid into windows: (B, rows * columns, D) to (B * windows, size * size, D).

    At the bottom and the right the grid is padded with the token ``padding`` (D), or with zeros, to multiples of
    ``size``.
    """
    batch, _, dim = x.shape
    rows, columns = grid
    x = x.reshape(batch, rows, columns, dim)
    down, across = count_windows(grid, size)
    below, right = down * size - rows, across * size - columns
    if below or right:
        token = x.new_zeros(dim) if padding is None else padding.to(x.dtype)
        x = torch.cat([x, token.expand(batch, below, columns, dim)], dim=1)
        x = torch.cat([x, token.expand(batch, rows + below, right, dim)], dim=2)
    x = x.reshape(batch, down, size, across, size, dim)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, size * size, dim)


def join_windows(windows: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """The inverse of :func:`split_windows`, without the padding: (B * windows, size * size, D) to (B, rows * columns,
    D)."""
    rows, columns = grid
    down, across = count_windows(grid, size)
    dim = windows.shape[-1]
    x = windows.reshape(-1, down, across, size, size, dim).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, down * size, across * size, dim)[:, :rows, :columns]
    return x.reshape(-1, rows * columns, dim)
