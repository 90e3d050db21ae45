"""A run, its interruptions and its log: loops that begin anywhere, checkpoints that are written whole, signals."""

from .log_files import LocalVisBackend
from .log_processor import LogProcessor
from .loops import EpochBasedTrainLoop, IterBasedTrainLoop
from .tracking import MLflowVisBackend

__all__ = ['EpochBasedTrainLoop', 'IterBasedTrainLoop', 'LocalVisBackend', 'LogProcessor', 'MLflowVisBackend']
