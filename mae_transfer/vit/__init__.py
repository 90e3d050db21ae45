"""What a ViT is, and nothing about any task."""

from .vit import ViT

__all__ = ['ViT']
