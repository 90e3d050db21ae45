"""Models whose parameters are divided among the processes, by PyTorch's FSDP2."""

from .fully_sharded_model import FullyShardedModel

__all__ = ['FullyShardedModel']
