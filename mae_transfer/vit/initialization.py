"""Random initialization of the ViT and of MAE's decoder."""

from __future__ import annotations

from timm.layers import PatchEmbed
from torch import nn


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
