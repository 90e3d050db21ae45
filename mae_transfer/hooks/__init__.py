"""What happens around a run: pictures, honest losses, a count of what was skipped."""
from .confusion import ConfusionHook
from .global_loss import GlobalLossHook
from .main_process_logger import MainProcessLoggerHook
from .non_finite_loss import NonFiniteLossHook
from .reconstructions import ReconstructionHook
from .skipped_photos import SkippedPhotosHook

__all__ = ['ConfusionHook', 'GlobalLossHook', 'MainProcessLoggerHook', 'NonFiniteLossHook', 'ReconstructionHook', 'SkippedPhotosHook']
