"""The one place that knows another library's gaps, and the only one that touches another library's private names.

``native_ops``    the compiled ops that ``pip install onedl-mmcv`` lacks, served by torchvision
``safe_loading``  how checkpoints are read
``faster_ap``     COCO's AP by faster-coco-eval (imported where needed: it wants MMDetection)
``distributed``   several processes without a GPU (imported where needed: it wants torch and MMEngine)
"""

import warnings

from . import native_ops, safe_loading


def install() -> None:
    """Fill the gaps in this process. Called when ``mae_transfer`` is imported; calling it again changes nothing."""
    native_ops.install()
    safe_loading.install()
    warnings.filterwarnings(
        'ignore', 'faster_coco_eval is not installed'
    )  # MMDetection: "no metrics"; ours are computed without it
