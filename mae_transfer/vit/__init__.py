"""The Vision Transformer and its checkpoints, independent of any task."""

from .vit import ViT

__all__ = ['ViT']
