"""MAE = masking + decoder + target around a ViT; each of them is a small registered class. BEiT has the same parts but
the decoder; MoCo v3 stands beside them.

To add your own, derive from :class:`Masking`, :class:`Target` or :class:`Tokenizer`; their docstrings say what to
implement.
"""

from .beit import BEiT
from .dalle_encoder import DALLEEncoder
from .decoder import MAEDecoder
from .dvae import DVAE
from .mae import MAE
from .masking import BlockMasking, GridMasking, Mask, Masking, RandomMasking, seeded_noise
from .mocov3 import MoCoV3
from .pca_target import PCATarget
from .preprocessor import PhotoPreprocessor
from .target import NormalizedPixelTarget, PixelTarget, Target
from .token_target import TokenTarget
from .tokenizer import Tokenizer

__all__ = [
    'BEiT',
    'BlockMasking',
    'DALLEEncoder',
    'DVAE',
    'GridMasking',
    'MAE',
    'MAEDecoder',
    'Mask',
    'Masking',
    'MoCoV3',
    'NormalizedPixelTarget',
    'PCATarget',
    'PhotoPreprocessor',
    'PixelTarget',
    'RandomMasking',
    'Target',
    'TokenTarget',
    'Tokenizer',
    'seeded_noise',
]
