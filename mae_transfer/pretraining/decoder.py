"""The small transformer that predicts the masked patches and is discarded after pre-training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..registry import MODELS
from ..vit.block import Block
from ..vit.design import LAYER_NORM_EPS
from ..vit.initialization import init_like_mae
from ..vit.position import resize_pos_embed, sincos_table
from .masking import Mask


@MODELS.register_module()
class MAEDecoder(nn.Module):
    """Predict patches from encoded patches and mask tokens, with positions (MAE section 3 and Table 1a, b).

    Args:
        in_dim: width D of the encoder; :class:`~mae_transfer.pretraining.MAE` fills it in, as it does the next two.
        grid: (rows, columns) of patches that the position embedding is made for.
        out_dim: length P of the prediction for a patch.
        embed_dim: width of the decoder.
        depth: number of blocks.
        num_heads: number of attention heads.
        mlp_ratio: hidden width of the MLPs as a multiple of ``embed_dim``.
        mask_token: whether the decoder inserts tokens for the masked patches; False if the encoder did (Table 1c).
    """

    def __init__(
        self,
        in_dim: int,
        grid: tuple[int, int],
        out_dim: int,
        embed_dim: int = 512,
        depth: int = 8,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        mask_token: bool = True,
    ):
        super().__init__()
        self.grid = grid
        self.embed = nn.Linear(in_dim, embed_dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if mask_token else None
        self.pos_embed = nn.Parameter(sincos_table(embed_dim, grid), requires_grad=False)
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.pred = nn.Linear(embed_dim, out_dim)
        init_like_mae(self)

    def forward(self, tokens: Tensor, mask: Mask, grid: tuple[int, int], everywhere: bool = False) -> Tensor:
        """Predict the masked patches.

        Attention does not depend on the order of the tokens, so masked patches are appended to the kept ones, each with
        the embedding of its position, and are not sorted into image order.

        Args:
            tokens: (B, 1 + K, D) from the encoder: the class token, then patches in the order of ``mask.keep``. If the
                decoder has no mask token: (B, 1 + K + M, D), with the patches of ``mask.masked`` at the end.
            mask: the K kept and M masked patches.
            grid: (rows, columns) of this batch's patches.
            everywhere: predict the kept patches too, for pictures and for a loss on all patches.

        Returns:
            (B, M, P) in the order of ``mask.masked``; with ``everywhere`` (B, K + M, P) in row-major order.
        """
        positions = resize_pos_embed(self.pos_embed, self.grid, grid)[0]
        patches = mask.keep if self.mask_token is not None else torch.cat(mask, dim=1)
        x = self.embed(tokens)
        x = x + torch.cat([positions[:1].expand(len(x), 1, -1), positions[1:][patches]], dim=1)
        if self.mask_token is not None:
            x = torch.cat([x, (self.mask_token + positions[1:][mask.masked]).to(x.dtype)], dim=1)
        for block in self.blocks[:-1]:
            x = block(x)
        # Of the last block only the tokens that are predicted are computed; the others are attended to.
        first = 1 if everywhere else 1 + mask.keep.shape[1]
        x = self.blocks[-1](x, first=first) if len(self.blocks) else x[:, first:]
        prediction = self.pred(self.norm(x))
        if not everywhere:
            return prediction
        restore = torch.cat([mask.keep, mask.masked], dim=1).argsort(dim=1)
        return prediction.gather(1, restore[..., None].expand_as(prediction))
