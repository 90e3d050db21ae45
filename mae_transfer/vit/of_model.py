"""The ViT within a model."""

from __future__ import annotations

from torch import nn

from .vit import ViT


def vit_of(model: nn.Module) -> ViT | None:
    """The ViT of a model: the model itself, or a part of it; of two, as in MoCo v3, the one that is trained.

    None where there is none, as in a tokenizer or a detector with another backbone.
    """
    return next((module for module in model.modules() if isinstance(module, ViT)), None)
