"""Metrics."""

from .accuracy import Accuracy
from .corruption_error import CorruptionError
from .reconstruction import ReconstructionLoss
from .tokens import TokenizerQuality
from .view_matching import ViewMatching

__all__ = ['Accuracy', 'CorruptionError', 'ReconstructionLoss', 'TokenizerQuality', 'ViewMatching']
