"""The one place that knows another library's gaps, and the only one that touches another library's private names.

``native_ops``    the compiled ops that ``pip install onedl-mmcv`` lacks, served by torchvision
``safe_loading``  how checkpoints are read
``distributed``   several processes without a GPU (imported where needed: it wants torch and MMEngine)
"""
from . import native_ops, safe_loading


def install() -> None:
    """Fill the gaps in this process. Called when ``mae_transfer`` is imported; calling it again changes nothing."""
    native_ops.install()
    safe_loading.install()
