"""Layer-wise decay, learning-rate rule and schedule, autocast."""
from .autocast import AutocastOptimWrapper
from .layer_decay import LayerDecayOptimWrapperConstructor
from .schedule import WarmupCosineLR

__all__ = ['AutocastOptimWrapper', 'LayerDecayOptimWrapperConstructor', 'WarmupCosineLR']
