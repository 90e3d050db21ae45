"""ImageNet-C: the validation images under corruptions of five severities (Hendrycks and Dietterich 2019)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..registry import DATASETS
from .classes import Classes, class_folders, resolve_classes
from .labelled import LabelledImages
from .labels import Source, read_tree

#: The fifteen that mCE is the mean of; the four of the extra folder are for validation.
CORRUPTIONS = (
    'gaussian_noise',
    'shot_noise',
    'impulse_noise',
    'defocus_blur',
    'glass_blur',
    'motion_blur',
    'zoom_blur',
    'snow',
    'frost',
    'fog',
    'brightness',
    'contrast',
    'elastic_transform',
    'pixelate',
    'jpeg_compression',
)
SEVERITIES = ('1', '2', '3', '4', '5')


@DATASETS.register_module()
class ImageNetC(LabelledImages):
    """ImageNet-C: ``data_root/<corruption>/<severity 1..5>/<class>/<image>``.

    The images come cropped to 224 x 224. An unreadable one is an error, as in every evaluation.

    Args:
        data_root: the folder that holds the corruptions' folders.
        corruptions: names of their folders; the standard fifteen by default.
        classes, img_size, transform: see :class:`~mae_transfer.data.labelled.LabelledPhotos`.

    Items: as of ``LabelledPhotos``, and ``group``, e.g. 'gaussian_noise/3'. ``metainfo`` has also ``groups``, all of
    them in order.

    Raises:
        UserError: no corruption, or not one folder for each and each severity; what a folder tree raises.
    """

    def __init__(
        self,
        data_root: str,
        corruptions: tuple[str, ...] = CORRUPTIONS,
        classes: Classes = 'imagenet',
        img_size: int | tuple[int, int] | None = None,
        transform: dict | Callable | None = None,
    ):
        root = Path(data_root)
        groups = [f'{corruption}/{severity}' for corruption, severity in product(corruptions, SEVERITIES)]
        if not groups:
            raise UserError(f'corruptions={corruptions} names no corruption, e.g. {CORRUPTIONS[0]}')
        missing = [group for group in groups if not (root / group).is_dir()]
        if missing:
            found = class_folders(root)
            raise UserError(
                f"{root}: {len(missing)} of {len(groups)} folders are missing, the first is '{missing[0]}'; found "
                f'{", ".join(found[:20])}{", ..." if len(found) > 20 else ""}; choose fewer by corruptions=(...)'
            )
        names = resolve_classes(classes) or tuple(class_folders(root / groups[0]))
        parts = [read_tree(root / group, names) for group in groups]
        super().__init__(
            Source(
                root=root,
                names=[f'{group}/{name}' for group, part in zip(groups, parts) for name in part.names],
                labels=np.concatenate([part.labels for part in parts]),
                classes=names,
                present=tuple(sorted(set().union(*(part.present for part in parts)))),
            ),
            False,
            img_size,
            transform,
        )
        self._metainfo['groups'] = tuple(groups)
        self._ends = np.cumsum([len(part.names) for part in parts])

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        item = super().__getitem__(key)
        group = np.searchsorted(self._ends, item['indices'], side='right')
        return dict(item, group=self._metainfo['groups'][group])
