"""ImageNet-C: the validation images with corruptions of five severities (Hendrycks and Dietterich 2019)."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError, shorten
from ...paths import shown, user_path
from ...registry import DATASETS
from ..files.bands import Bands
from .classes import Classes, class_folders, resolve_classes
from .crops import Pixels
from .labelled import LabelledImages, LabelSpace
from .labels import read_tree
from .source import Source

#: The fifteen whose mean is the mCE; the four in the folder "extra" are for validation.
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


def _found(root: Path, group: str) -> str:
    """What is in the folder of a group that is missing; raises ``UserError`` if nothing is."""
    corruption = group.partition('/')[0]
    if os.path.isdir(root / corruption):
        return f'{corruption}/ with {shorten(map(shown, class_folders(root / corruption)), 8)}'
    return shorten(map(shown, class_folders(root)), 20)


def _names(corruptions: Any) -> tuple[str, ...]:
    """The corruptions of a setting, which may also be one name; raises ``UserError``."""
    names = (corruptions,) if isinstance(corruptions, str) else corruptions
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise UserError(f'corruptions is a list of names, e.g. (fog,snow); found {corruptions}')
    if not names:
        raise UserError(f'corruptions={corruptions} names no corruption, e.g. {CORRUPTIONS[0]}')
    if len(set(names)) < len(names):
        raise UserError(f'corruptions={corruptions} names one of them twice')
    return tuple(names)


@DATASETS.register_module()
class ImageNetC(LabelledImages):
    """ImageNet-C: ``data_root/<corruption>/<severity 1..5>/<class>/<image>``.

    The published images are already cropped to 224 x 224. An unreadable one is an error, as in every evaluation.

    Args:
        data_root: the folder that contains one folder per corruption.
        corruptions: names of these folders; the standard fifteen by default.
        classes, img_size, transform, bands, exif_orientation: see
            :class:`~mae_transfer.data.photos.labelled.LabelledPhotos`.

    Items: as those of ``LabelledPhotos``, and ``group``, e.g. 'gaussian_noise/3'. ``metainfo`` also has ``groups``, all
    of them in order.

    Raises:
        UserError: no corruption is named; a missing folder of a corruption or severity; what ``read_tree`` raises.
    """

    def __init__(
        self,
        data_root: str,
        corruptions: tuple[str, ...] = CORRUPTIONS,
        classes: Classes = 'imagenet',
        img_size: int | tuple[int, int] | None = None,
        transform: dict | Callable | None = None,
        bands: Bands = 'RGB',
        exif_orientation: bool = False,
    ) -> None:
        root, corruptions = user_path(data_root), _names(corruptions)
        groups = [f'{corruption}/{severity}' for corruption, severity in product(corruptions, SEVERITIES)]
        missing = [group for group in groups if not os.path.isdir(root / group)]
        if missing:
            raise UserError(
                f"{shown(root)}: {len(missing)} of {len(groups)} folders are missing, e.g. '{missing[0]}'; found "
                f'{_found(root, missing[0])}; choose fewer by corruptions=(...)'
            )
        names = resolve_classes(classes) or tuple(map(shown, class_folders(root / groups[0])))
        parts = [read_tree(root / group, names) for group in groups]
        source = Source(
            root=root,
            names=[f'{group}/{name}' for group, part in zip(groups, parts) for name in part.names],
            labels=np.concatenate([part.labels for part in parts]),
            classes=names,
            present=tuple(sorted({label for part in parts for label in part.present})),
            notes=tuple(note for part in parts for note in part.notes),
        )
        super().__init__(
            source,
            training=False,
            img_size=img_size,
            transform=transform,
            bands=bands,
            exif_orientation=exif_orientation,
        )
        self.metainfo['groups'] = tuple(groups)
        self._ends = np.cumsum([len(part.names) for part in parts])  # one past the last image of each group

    @staticmethod
    def label_space(
        data_root: str, corruptions: tuple[str, ...] = CORRUPTIONS, classes: Classes = 'imagenet', **_: Any
    ) -> LabelSpace:
        """The classes of a data set with these settings."""
        first = user_path(data_root) / _names(corruptions)[0] / SEVERITIES[0]
        return LabelSpace(resolve_classes(classes) or tuple(map(shown, class_folders(first))))

    def item(self, image: Pixels, index: int, seed: int) -> dict[str, Any]:
        """See the class."""
        group = self.metainfo['groups'][np.searchsorted(self._ends, index, side='right')]
        return dict(super().item(image, index, seed), group=group)
