"""What happens around a run: pictures, honest losses, a count of what was skipped."""
from .global_loss import GlobalLossHook
from .non_finite_loss import NonFiniteLossHook
from .reconstructions import ReconstructionHook
from .skipped_photos import SkippedPhotosHook

__all__ = ['GlobalLossHook', 'NonFiniteLossHook', 'ReconstructionHook', 'SkippedPhotosHook']
