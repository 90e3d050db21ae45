"""Attention over all tokens or within windows, and the pre-norm block that both stand in."""

from __future__ import annotations

import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6  # MAE's everywhere; PyTorch's default of 1e-5 costs accuracy with MAE's weights.


class Attention(nn.Module):
    """Multi-head self-attention over a sequence, by PyTorch's fused kernel.

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
            grid, table: see :meth:`attend`.
            window_size: side of the windows to which attention is confined; 0 for all tokens.
        """
        qkv = self.qkv(x)
        if window_size:
            # ViTDet pads with zeros before this map. What it makes of zero is its bias: nothing is computed for the
            # padding.
            qkv = split_windows(qkv, grid, window_size, self.qkv.bias)
        q, k, v = qkv.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        x = self.attend(q, k, v, (window_size, window_size) if window_size else grid, table).transpose(1, 2).flatten(2)
        return self.proj(join_windows(x, grid, window_size) if window_size else x)

    def attend(
        self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int] | None = None, table: Tensor | None = None
    ) -> Tensor:
        """Queries, keys and values (B, heads, N, d) to (B, heads, N, d).

        Args:
            grid: (rows, columns) of the patches; only relative positions look at it.
            table: relative positions that several blocks share.
        """
        return F.scaled_dot_product_attention(q, k, v)


class Block(nn.Module):
    """Pre-norm transformer block: attention and MLP, each behind a LayerNorm and a residual.

    Args:
        dim: width D.
        num_heads: attention heads.
        mlp_ratio: hidden width of the MLP over D.
        drop_path: probability of dropping each residual branch for an image (stochastic depth).
        window_size: side of the square windows, in patches, to which attention is confined; 0 for all tokens.
        attention: attention of another kind than the plain one.
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
            grid: (rows, columns) of the N patches; only windows, which take no class token, and relative positions need
                it.
            table: relative positions that several blocks share.
        """
        x = x + self.drop_path1(self.attn(self.norm1(x), grid, table, self.window_size))
        return x + self.drop_path2(self.mlp(self.norm2(x)))


def split_windows(x: Tensor, grid: tuple[int, int], size: int, padding: Tensor) -> Tensor:
    """Tokens of a grid to windows: (B, rows * columns, D) to (B * windows, size * size, D).

    The grid is padded with the token ``padding`` (D) at the bottom and the right to multiples of ``size``.
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
    """The inverse of :func:`split_windows`: (B * windows, size * size, D) to (B, rows * columns, D), padding cut
    off."""
    rows, columns = grid
    down, across = -(-rows // size), -(-columns // size)
    dim = windows.shape[-1]
    x = windows.reshape(-1, down, across, size, size, dim).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, down * size, across * size, dim)[:, :rows, :columns]
    return x.reshape(-1, rows * columns, dim)
