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

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        batch, length, dim = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.num_heads, dim // self.num_heads).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, length, dim))


class Block(nn.Module):
    """Pre-norm transformer block: attention and MLP, each behind a LayerNorm and a residual.

    Args:
        dim: width D.
        num_heads: attention heads.
        mlp_ratio: hidden width of the MLP over D.
        drop_path: probability of dropping each residual branch for an image (stochastic depth).
        window_size: side of the square windows, in patches, to which attention is confined; 0 for all tokens.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float = 4., drop_path: float = 0., window_size: int = 0):
        super().__init__()
        self.window_size = window_size
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(dim, num_heads)
        self.drop_path1 = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path2 = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """(B, N, D) to (B, N, D).

        Args:
            grid: (rows, columns) of the N patches; only a windowed block needs it, and it takes no class token.
        """
        attended = self.norm1(x)
        if self.window_size:
            # Windows are cut after the norm, so that the padding is zero where attention sees it (ViTDet).
            windows = split_windows(attended, grid, self.window_size)
            attended = join_windows(self.attn(windows), grid, self.window_size)
        else:
            attended = self.attn(attended)
        x = x + self.drop_path1(attended)
        return x + self.drop_path2(self.mlp(self.norm2(x)))


def split_windows(x: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """Tokens of a grid to windows: (B, rows * columns, D) to (B * windows, size * size, D).

    The grid is padded with zeros at the bottom and the right to multiples of ``size``.
    """
    batch, _, dim = x.shape
    rows, columns = grid
    x = x.reshape(batch, rows, columns, dim)
    below, right = -rows % size, -columns % size
    if below or right:
        x = F.pad(x, (0, 0, 0, right, 0, below))
    x = x.reshape(batch, (rows + below) // size, size, (columns + right) // size, size, dim)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, size * size, dim)


def join_windows(windows: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """The inverse of :func:`split_windows`: (B * windows, size * size, D) to (B, rows * columns, D), padding cut off."""
    rows, columns = grid
    down, across = -(-rows // size), -(-columns // size)
    dim = windows.shape[-1]
    x = windows.reshape(-1, down, across, size, size, dim).permute(0, 1, 3, 2, 4, 5)
    x = x.reshape(-1, down * size, across * size, dim)[:, :rows, :columns]
    return x.reshape(-1, rows * columns, dim)
