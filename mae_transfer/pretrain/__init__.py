"""MAE = masking + decoder + target around a ViT, each a small registered part."""
from .decoder import MAEDecoder
from .mae import MAE
from .masking import BlockMasking, GridMasking, Mask, RandomMasking, seeded_noise
from .preprocessor import PhotoPreprocessor
from .target import NormalizedPixelTarget, PixelTarget

__all__ = ['BlockMasking', 'GridMasking', 'MAE', 'MAEDecoder', 'Mask', 'NormalizedPixelTarget', 'PhotoPreprocessor', 'PixelTarget', 'RandomMasking', 'seeded_noise']
