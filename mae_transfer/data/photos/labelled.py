"""Labelled images for training and evaluating classifiers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ...errors import UserError
from ...paths import shown, user_path
from ...registry import DATASETS, FUNCTIONS, TRANSFORMS
from ..files.bands import Bands
from ..files.image_files import suffixes_of, warn_once
from ..files.image_reader import ImageReader
from ..files.photo_files import PhotoFiles
from .classes import Classes, class_folders, folder_labels, resolve_classes
from .crops import Pixels, Transform
from .image_dataset import MAX_PIXELS, ImageDataset, pixel_limit
from .labelled_shards import find_shards
from .labels import find_cifar, read_source, split_folder
from .random_crop import CropReader, Decoded, ResizedCrop
from .source import Source


class LabelSpace(NamedTuple):
    """The classes that labels stand for.

    Attributes:
        classes: their names in label order.
        numbered: whether the names are the bare numbers of a list file, in which the last classes may be missing.
        notes: what was not obvious about the labels.
        root, used: the folder of the images, and which classes, or class folders, they have; None and () if not known.
        labels: of a list file or JSON, the label of each image by its path; None for folder trees and CIFAR.
    """

    classes: tuple[str, ...]
    numbered: bool = False
    notes: tuple[str, ...] = ()
    labels: Mapping[str, int] | None = None
    root: Path | None = None
    used: tuple[str, ...] = ()


class LabelledImages(ImageDataset):
    """The images of a :class:`~mae_transfer.data.photos.source.Source`, transformed.

    A subclass may have a static method ``label_space(**settings)`` that returns the :class:`LabelSpace` of the data set
    with these settings. If it has, its classes are compared with those of the other data sets and of the model before
    anything is built.

    Args:
        source: the images and labels.
        training: whether transforms draw anew each time.
        img_size, transform, bands, exif_orientation: see :class:`LabelledPhotos`.
        skip_unreadable: see :class:`LabelledPhotos`; by default as ``training``.

    ``metainfo``: ``classes``, the class names in label order, and ``present``, the labels that occur (see ``Source``).
    """

    def __init__(
        self,
        source: Source,
        training: bool,
        img_size: int | tuple[int, int] | None = None,
        transform: dict | Transform | None = None,
        bands: Bands = 'RGB',
        exif_orientation: bool = False,
        skip_unreadable: bool | None = None,
    ) -> None:
        for note in source.notes:
            warn_once(note)
        skip_unreadable = training if skip_unreadable is None else skip_unreadable
        if not isinstance(skip_unreadable, bool):
            raise UserError(f'skip_unreadable is True, False or None; found {skip_unreadable!r}')
        if source.missing:
            if not skip_unreadable:
                raise UserError(f'{source.missing}: restore them, or take them out of the list')
            warn_once(source.missing)
        super().__init__(source.root, training, skip_unreadable, dict(classes=source.classes, present=source.present))
        self.labels, self.images = source.labels, source.images
        self.reader = ImageReader(bands, exif_orientation)
        self.files = source.shards or PhotoFiles(source.root, source.names)
        if self.images is None:
            self.files.examine(self.reader)
        if not callable(transform):
            transform = _build_transform(transform, training, img_size)
        self.transform = transform
        self.read_crop: CropReader | None = None
        # A subclass with another `item` expects whole images.
        if self.images is None and isinstance(transform, ResizedCrop) and type(self).item is LabelledImages.item:
            self.read_crop = CropReader(transform, self.reader, self.files.source, self.seeded)

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """See the base class."""
        return self.files.names[index]

    def get_cat_ids(self, index: int) -> list[int]:
        """See the base class."""
        return [int(self.labels[index])]

    def read(self, index: int) -> Pixels:
        """See the base class."""
        if self.images is not None:
            return self.reader.convert(self.images[index])
        return self.reader(self.files.source(index))

    def why_unreadable(self, index: int, error: Exception) -> str:
        """See the base class."""
        return self.files.why_unreadable(index, error)

    def read_for(self, index: int, seed: int) -> Pixels | Decoded:
        """See the base class: for random crops, a JPEG is decoded at the scale that the crop needs."""
        return self.read(index) if self.read_crop is None else self.read_crop(index, seed)

    def item(self, image: Any, index: int, seed: int) -> dict[str, Any]:
        """See :class:`LabelledPhotos`."""
        return dict(inputs=self.transform(image), labels=int(self.labels[index]), indices=index)


def _build_transform(config: dict | None, training: bool, img_size: int | tuple[int, int] | None) -> Transform:
    if config is not None and not isinstance(config, dict):
        raise UserError(f'transform is the config of a transform, e.g. dict(type=...); found {config!r}')
    config = dict(config or dict(type='FineTuneCrop' if training else 'CentreCrop'))
    config.setdefault('img_size', 224 if img_size is None else img_size)
    return TRANSFORMS.build(config)


@DATASETS.register_module()
class LabelledPhotos(LabelledImages):
    """Images with one label each, as uint8 crops.

    Args:
        data_root: the folder of the data. Without ``ann_file`` it contains ``<split>/<class>/**/*.jpg`` (ImageNet, Tiny
            ImageNet), or it is, or contains, CIFAR's folder as published (``cifar-10-batches-py``,
            ``cifar-100-python``), or it holds shards, tar files of images and labels: see docs/own_data.md.
        split: 'train' for training, by default with random crops; any other name for evaluation. None: for evaluation,
            with the class folders directly in ``data_root`` (ImageNet-A, -R, -Sketch, ImageNetV2). With ``ann_file``
            the split only chooses between training and evaluation.
        ann_file: a list file (a path and a label per line, as Places365's; other forms: see ``list_files.read_list``)
            or iNaturalist's JSON, relative to ``data_root``.
        data_prefix: the folder below ``data_root`` that the paths are relative to.
        img_size: side, or (height, width), of the crops; 224 by default. A transform with its own ``img_size`` keeps
            it.
        transform: config or callable: PIL image or array (H, W, C) -> tensor (C, h, w). Default:
            ``FineTuneCrop`` for 'train', otherwise ``CentreCrop``.
        classes: 'imagenet', a list of class names, a file with one name per line, or a number of classes. If given, a
            folder tree may contain only some of the classes. By default the class names come from the folders, the
            list file or the JSON.
        bands, exif_orientation: see :class:`~mae_transfer.data.photos.unlabelled.Photos`.
        per_class: keep this many images of each class, chosen by a hash of their paths; None for all.
        skip_unreadable: whether an unreadable image is replaced by the next one, whose label and index the item then
            has, and listed in ``skipped``; otherwise it is an error. By default only for 'train', because a replaced
            image would falsify an accuracy.
        max_pixels: see the base class.

    Items: dict of ``inputs`` (C, h, w) uint8 (float32 for files of more bits), ``labels`` int, ``indices`` int (of the
    image that was read), ``skipped`` list of str.

    Raises:
        UserError: data that do not exist, have another layout, or have labels out of range; an unreadable image if it
            is not skipped.
    """

    def __init__(
        self,
        data_root: str,
        split: str | None = 'train',
        ann_file: str | None = None,
        data_prefix: str = '',
        img_size: int | tuple[int, int] | None = None,
        transform: dict | Transform | None = None,
        classes: Classes = None,
        bands: Bands = 'RGB',
        exif_orientation: bool = False,
        per_class: int | None = None,
        skip_unreadable: bool | None = None,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        source = read_source(data_root, split, ann_file, data_prefix, classes, per_class, suffixes_of(bands))
        super().__init__(source, split == 'train', img_size, transform, bands, exif_orientation, skip_unreadable)
        self.max_pixels = pixel_limit(max_pixels)

    @staticmethod
    def label_space(
        data_root: str,
        split: str | None = 'train',
        ann_file: str | None = None,
        data_prefix: str = '',
        classes: Classes = None,
        bands: Bands = 'RGB',
        **_: Any,
    ) -> LabelSpace:
        """The classes of a data set with these settings; in a folder tree only the class folders are listed."""
        root = user_path(data_root)
        images = root / user_path(data_prefix, 'data_prefix')
        if ann_file is None and find_cifar(root) is None and find_shards(images, split) is None:
            folder = split_folder(images, split)
            given = resolve_classes(classes)
            folders = folder_labels(class_folders(folder), given, folder)
            return LabelSpace(given or tuple(map(shown, folders)), root=folder, used=tuple(folders))
        source = read_source(data_root, split, ann_file, data_prefix, classes, suffixes=suffixes_of(bands))
        used = source.classes if split != 'train' else [source.classes[label] for label in np.unique(source.labels)]
        labels: dict[str, int] | None = None
        if ann_file is not None:
            paths = (os.path.normpath(source.root / name) for name in source.names)
            labels = dict(zip(paths, source.labels.tolist()))
        return LabelSpace(source.classes, source.numbered, source.notes, labels, source.root, tuple(used))


@FUNCTIONS.register_module()
def collate_labelled(items: list[dict]) -> dict:
    """Collate items of :class:`LabelledPhotos` or ``ImageNetC`` to a batch.

    Returns:
        ``inputs`` (B, C, h, w), ``labels`` and ``indices`` (B,) int64, ``skipped`` list of paths; if the items
        have a ``group``, also ``groups``, B names such as 'gaussian_noise/3'.
    """
    batch = dict(
        inputs=torch.stack([item['inputs'] for item in items]),
        labels=torch.tensor([item['labels'] for item in items], dtype=torch.int64),
        indices=torch.tensor([item['indices'] for item in items], dtype=torch.int64),
        skipped=[name for item in items for name in item['skipped']],
    )
    if 'group' in items[0]:
        batch['groups'] = [item['group'] for item in items]
    return batch
