"""A run and its interruptions: loops that begin anywhere, checkpoints that are written whole, signals."""

from .log_files import LocalVisBackend
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop

__all__ = ['EpochBasedTrainLoop', 'IterBasedTrainLoop', 'LocalVisBackend']
