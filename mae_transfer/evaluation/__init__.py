"""Metrics."""
from .accuracy import Accuracy
from .corruption_error import CorruptionError
from .reconstruction import ReconstructionLoss

__all__ = ['Accuracy', 'CorruptionError', 'ReconstructionLoss']
