"""mae_transfer: one Vision Transformer, pre-trained by masking, read everywhere."""

from . import compat, registry
from .version import __version__

__all__ = ['__version__', 'compat', 'registry']

# Before anything imports mmcv.ops or loads a checkpoint, in this process and in every worker that unpickles our
# classes.
compat.install()
