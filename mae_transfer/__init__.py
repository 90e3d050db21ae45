"""mae_transfer: one Vision Transformer, pre-trained by masking, read everywhere."""

from contextlib import suppress

from .version import __version__

__all__ = ['__version__', 'compat', 'registry']

# Without MMEngine everything but `mae-transfer doctor`, which says what is missing, fails where it imports it itself.
with suppress(ImportError):
    from . import compat, registry

    # Before anything imports mmcv.ops or loads a checkpoint, in this process and in every worker that unpickles our
    # classes.
    compat.install()
