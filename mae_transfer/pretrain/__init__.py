"""MAE = masking + decoder + target around a ViT, each a small registered part."""

from .dalle_encoder import DALLEEncoder
from .decoder import MAEDecoder
from .dvae import DVAE
from .mae import MAE
from .masking import BlockMasking, GridMasking, Mask, RandomMasking, seeded_noise
from .pca_target import PCATarget
from .preprocessor import PhotoPreprocessor
from .target import NormalizedPixelTarget, PixelTarget
from .token_target import TokenTarget

__all__ = [
    'BlockMasking',
    'DALLEEncoder',
    'DVAE',
    'GridMasking',
    'MAE',
    'MAEDecoder',
    'Mask',
    'NormalizedPixelTarget',
    'PCATarget',
    'PhotoPreprocessor',
    'PixelTarget',
    'RandomMasking',
    'TokenTarget',
    'seeded_noise',
]
