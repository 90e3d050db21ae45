"""Datasets, decoding, samplers, and the made-up demo scenes."""
from .photos import Photos, collate_photos
from .sampler import SeededSampler

__all__ = ['Photos', 'SeededSampler', 'collate_photos']
