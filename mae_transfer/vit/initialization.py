"""Random initialization of the ViT and of MAE's decoder, by MAE and by MoCo v3."""

from __future__ import annotations

from timm.layers import PatchEmbed
from torch import nn

from .attention import Attention


def init_like_mae(module: nn.Module) -> None:
    """Initialize all weights as MAE does (official code, ``models_mae.py``).

    Linear layers: Xavier-uniform, the fused qkv matrix as one; biases zero. Patch embedding: Xavier-uniform, as a
    linear layer; its bias keeps PyTorch's default. Class token, registers and mask token: normal with std .02. Norms:
    identity.
    """
    for child in module.modules():
        if isinstance(child, nn.Linear):
            nn.init.xavier_uniform_(child.weight)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, PatchEmbed):
            nn.init.xavier_uniform_(child.proj.weight.data.flatten(1))
    for name, parameter in module.named_parameters():
        if name.rpartition('.')[2] in ('cls_token', 'reg_token', 'mask_token'):
            nn.init.normal_(parameter, std=0.02)


def init_like_moco_v3(vit: nn.Module) -> None:
    """Initialize all weights of a ViT as MoCo v3 does (official code, ``vits.py``).

    As :func:`init_like_mae`, except that queries, keys and values are Xavier-uniform as three matrices, whose bound is
    wider than that of the fused one; the bias of the patch embedding is zero; the class token's std is 1e-6.
    """
    init_like_mae(vit)
    for child in vit.modules():
        if isinstance(child, Attention):
            for part in child.qkv.weight.data.chunk(3):
                nn.init.xavier_uniform_(part)
        elif isinstance(child, PatchEmbed) and child.proj.bias is not None:
            nn.init.zeros_(child.proj.bias)
    for name, parameter in vit.named_parameters():
        if name == 'cls_token':
            nn.init.normal_(parameter, std=1e-6)
