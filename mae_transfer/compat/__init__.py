"""All patches and workarounds for other libraries.

``native_ops``       the compiled ops that ``pip install onedl-mmcv`` lacks, replaced by torchvision's
``package_configs``  ``_base_ = 'mae_transfer::...'`` in any config
``safe_loading``     MMEngine reads checkpoints as data, never as code (installed by ``StrictRunner``, not on import)
``faster_ap``        COCO's AP by faster-coco-eval (imported where needed, because it requires MMDetection)
``distributed``      several processes without a GPU (imported where needed, because it requires torch and MMEngine)
"""

import warnings

from . import native_ops, package_configs


def install() -> None:
    """Install the patches that other libraries need on import; idempotent. Importing ``mae_transfer`` calls it."""
    native_ops.install()
    package_configs.install()
    # MMDetection warns that there are no metrics without faster-coco-eval; our evaluator then uses pycocotools.
    warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
