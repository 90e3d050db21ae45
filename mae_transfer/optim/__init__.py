"""Layer-wise decay, learning-rate rule and schedule, autocast; timm's LARS is registered by its name."""

from timm.optim import Lars

from ..registry import OPTIMIZERS
from .autocast import AutocastOptimWrapper
from .layer_decay import LayerDecayOptimWrapperConstructor
from .schedule import WarmupCosineLR

OPTIMIZERS.register_module(module=Lars)

__all__ = ['AutocastOptimWrapper', 'LayerDecayOptimWrapperConstructor', 'WarmupCosineLR']
