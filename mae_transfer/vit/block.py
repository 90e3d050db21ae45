"""The transformer block."""

from __future__ import annotations

from timm.layers import DropPath
from torch import Tensor, nn

from .attention import Attention
from .design import PLAIN, Design
from .places import Places


class Block(nn.Module):
    """Pre-norm transformer block: attention and MLP, each behind a LayerNorm and a residual.

    Args:
        dim: width D.
        num_heads: attention heads.
        mlp_ratio: hidden width of the MLP, as a multiple of D.
        drop_path: probability of dropping each residual branch for an image (stochastic depth).
        window_size: side of the square windows, in patches, to which attention is confined; 0 for all tokens.
        attention: used instead of plain :class:`~mae_transfer.vit.attention.Attention`.
        design: the parts of the block (:class:`~mae_transfer.vit.design.Design`).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        window_size: int = 0,
        attention: Attention | None = None,
        design: Design = PLAIN,
    ):
        super().__init__()
        self.window_size = window_size
        self.norm1 = design.norm(dim)
        self.attn = attention or Attention(dim, num_heads, design)
        self.ls1 = design.make_layer_scale(dim)
        self.drop_path1 = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = design.norm(dim)
        self.mlp = design.make_mlp(dim, int(dim * mlp_ratio))
        self.ls2 = design.make_layer_scale(dim)
        self.drop_path2 = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor, places: Places | None = None, first: int = 0) -> Tensor:
        """(B, N, D) to (B, N - first, D).

        Args:
            places: of the tokens; needed only by windows, which allow no class token, and by positions in attention.
            first: tokens before this number are attended to, but not computed; without places and windows only.
        """
        x = x[:, first:] + self.drop_path1(self.ls1(self.attn(self.norm1(x), places, self.window_size, first)))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))
