"""Multi-head attention, over all tokens or within windows, and the pre-norm transformer block."""

from __future__ import annotations

import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6  # as in MAE; PyTorch's default of 1e-5 costs accuracy with MAE's weights


class Attention(nn.Module):
    """Multi-head self-attention over a sequence, computed by PyTorch's fused kernel.

    Parameter names are timm's: ``qkv`` (one fused matrix) and ``proj``.
    """

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, grid: tuple[int, int] | None = None, table: Tensor | None = None, window_size: int = 0
    ) -> Tensor:
        """(B, N, D) to (B, N, D).

        Args:
            grid, table: as in :meth:`attend`; windows need the grid.
            window_size: side of the windows to which attention is confined; 0 for all tokens.
        """
        qkv = self.qkv(x)
        if not window_size:
            return self.proj(self._attend_fused(qkv, grid, table))
        if grid is None:
            raise ValueError(f'windows of {window_size} need the grid of the patches')
        # ViTDet pads with zeros before the qkv map, which turns them into its bias: padding afterwards with the bias
        # gives the same values, and nothing is computed for the padding.
        windows = split_windows(qkv, grid, window_size, self.qkv.bias)
        x = self._attend_fused(windows, (window_size, window_size), table)
        return self.proj(join_windows(x, grid, window_size))

    def _attend_fused(self, qkv: Tensor, grid: tuple[int, int] | None, table: Tensor | None) -> Tensor:
        """Output of the qkv map (B, N, 3 * D) to attended values (B, N, D)."""
        q, k, v = qkv.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return self.attend(q, k, v, grid, table).transpose(1, 2).flatten(2)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int] | None = None, table: Tensor | None = None
    ) -> Tensor:
        """Queries, keys and values (B, heads, N, d) to attended values (B, heads, N, d).

        Args:
            grid: (rows, columns) of the patches; only relative positions use it.
            table: relative positions that several blocks share.
        """
        return F.scaled_dot_product_attention(q, k, v)


class Block(nn.Module):
    """Pre-norm transformer block: attention and MLP, each behind a LayerNorm and a residual.

    Args:
        dim: width D.
        num_heads: attention heads.
        mlp_ratio: hidden width of the MLP, as a multiple of D.
        drop_path: probability of dropping each residual branch for an image (stochastic depth).
        window_size: side of the square windows, in patches, to which attention is confined; 0 for all tokens.
        attention: used instead of plain :class:`Attention`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        window_size: int = 0,
        attention: Attention | None = None,
    ):
        super().__init__()
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = attention or Attention(dim, num_heads)
        self.drop_path1 = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path2 = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor, grid: tuple[int, int] | None = None, table: Tensor | None = None) -> Tensor:
        """(B, N, D) to (B, N, D).

        Args:
            grid: (rows, columns) of the N patches; needed only by windows, which allow no class token, and by relative
                positions.
            table: relative positions that several blocks share.
        """
        x = x + self.drop_path1(self.attn(self.norm1(x), grid, table, self.window_size))
        return x + self.drop_path2(self.mlp(self.norm2(x)))


def split_windows(x: Tensor, grid: tuple[int, int], size: int, padding: Tensor) -> Tensor:
    """Split the tokens of a grid into windows: (B, rows * columns, D) to (B * windows, size * size, D).

    At the bottom and the right the grid is padded with the token ``padding`` (D) to multiples of ``size``.
    """
    batch, _, dim = x.shape
    rows, columns = grid
    x = x.reshape(batch, rows, columns, dim)
    below, right = -rows % size, -columns % size
    if below or right:
        padded = padding.to(x.dtype).expand(batch, rows + below, columns + right, dim).clone()
        padded[:, :rows, :columns] = x
        x = padded
    x = x.reshape(batch, (rows + below) // size, size, (columns + right) // size, size, dim)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, size * size, dim)


def join_windows(windows: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """The inverse of :func:`split_windows`, without the padding: (B * windows, size * size, D) to (B, rows * columns,
    D)."""
    rows, columns = grid
    down, across = -(-rows // size), -(-columns // size)
    dim = windows.shape[-1]
    x = windows.reshape(-1, down, across, size, size, dim).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, down * size, across * size, dim)[:, :rows, :columns]
    return x.reshape(-1, rows * columns, dim)
