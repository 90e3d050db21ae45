"""Hooks of a run: pictures and tables, the loss over all processes, speed, checks, preparation and annealing."""

from .annealing import AnnealingHook
from .checkpoint import CheckpointHook
from .confusion import ConfusionHook
from .fit_target import FitTargetHook
from .global_loss import GlobalLossHook
from .heartbeat import HeartbeatHook
from .input_statistics import InputStatisticsHook
from .main_process_logger import MainProcessLoggerHook
from .momentum import MomentumHook
from .patience import PatienceHook
from .reconstructions import ReconstructionHook
from .skipped_images import SkippedImagesHook
from .speed import SpeedHook
from .step_guard import StepGuardHook

__all__ = [
    'AnnealingHook',
    'CheckpointHook',
    'ConfusionHook',
    'FitTargetHook',
    'GlobalLossHook',
    'HeartbeatHook',
    'InputStatisticsHook',
    'MainProcessLoggerHook',
    'MomentumHook',
    'PatienceHook',
    'ReconstructionHook',
    'SkippedImagesHook',
    'SpeedHook',
    'StepGuardHook',
]
