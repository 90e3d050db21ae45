"""Metrics."""

from .accuracy import Accuracy
from .corruption_error import CorruptionError
from .reconstruction import ReconstructionLoss
from .tokens import TokenizerQuality

__all__ = ['Accuracy', 'CorruptionError', 'ReconstructionLoss', 'TokenizerQuality']
