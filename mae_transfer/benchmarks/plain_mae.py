"""MAE in the form of the published code, built of timm's blocks: what a plain implementation costs.

Attention stores the scores of all pairs of tokens, as timm's did when MAE was published; the decoder puts all tokens
into image order and predicts all patches, and the loss of those that were visible is multiplied by zero.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ..pretraining import MAE
from ..vit.patches import flatten_patches, take_patches


class PlainMAE(nn.Module):
    """MAE of the sizes of one of ours; parameters have the published names.

    Args:
        ours: the MAE that it is compared with: sizes and share of masked patches.
    """

    def __init__(self, ours: MAE):
        super().__init__()
        vit, decoder = ours.vit, ours.decoder
        width, patch, count = decoder.pos_embed.shape[-1], vit.patch_size, vit.grid[0] * vit.grid[1]
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.patch_size, self.num_kept = patch, ours.masking.num_kept(vit.grid)
        self.patch_embed = nn.ModuleDict(dict(proj=nn.Conv2d(vit.in_channels, vit.embed_dim, patch, patch)))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, vit.embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + count, vit.embed_dim), requires_grad=False)
        self.blocks = nn.Sequential(*(_block(vit.embed_dim, vit.blocks[0]) for _ in vit.blocks))
        self.norm = norm(vit.embed_dim)
        self.decoder_embed = nn.Linear(vit.embed_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, 1 + count, width), requires_grad=False)
        self.decoder_blocks = nn.Sequential(*(_block(width, decoder.blocks[0]) for _ in decoder.blocks))
        self.decoder_norm = norm(width)
        self.decoder_pred = nn.Linear(width, patch**2 * vit.in_channels)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The loss of images (B, C, H, W); noise (B, L) decides the mask, the least is kept."""
        tokens = self.patch_embed['proj'](images).flatten(2).mT + self.pos_embed[:, 1:]
        if noise is None:
            noise = torch.rand(tokens.shape[:2], device=images.device)
        order = noise.argsort(dim=1)
        places = order.argsort(dim=1)
        kept = _take(tokens, order[:, : self.num_kept])
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(images), -1, -1)
        encoded = self.decoder_embed(self.norm(self.blocks(torch.cat([first, kept], dim=1))))
        masks = self.mask_token.expand(len(images), places.shape[1] - self.num_kept, -1).to(encoded.dtype)
        everywhere = _take(torch.cat([encoded[:, 1:], masks], dim=1), places)
        decoded = self.decoder_blocks(torch.cat([encoded[:, :1], everywhere], dim=1) + self.decoder_pos_embed)
        predicted = self.decoder_pred(self.decoder_norm(decoded))[:, 1:]
        pixels = flatten_patches(take_patches(images, self.patch_size))
        wanted = (pixels - pixels.mean(-1, keepdim=True)) / (pixels.var(-1, keepdim=True) + 1e-6).sqrt()
        is_masked = (places >= self.num_kept).to(images.dtype)
        return ((predicted - wanted).square().mean(-1) * is_masked).sum() / is_masked.sum()


def timm_block(*args: Any, qk_scale: None = None, **kwargs: Any) -> Block:
    """timm's block with attention that is not fused and, as in timm 0.3.2, with an argument ``qk_scale``."""
    block = Block(*args, **kwargs)
    attention: Any = block.attn
    attention.fused_attn = False
    return block


def _block(width: int, like: Any) -> Block:
    """A block of the heads and the MLP of one of ours."""
    ratio = like.mlp.fc1.out_features / width
    return timm_block(width, like.attn.num_heads, ratio, qkv_bias=True, norm_layer=partial(nn.LayerNorm, eps=1e-6))


def _take(tokens: Tensor, order: Tensor) -> Tensor:
    """Tokens (B, N, D) at places (B, K), to (B, K, D)."""
    return tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[2]))
