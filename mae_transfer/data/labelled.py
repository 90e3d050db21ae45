"""Labelled photos for every way to train or judge a classifier."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from ..errors import UserError
from ..registry import DATASETS, FUNCTIONS, TRANSFORMS
from .classes import Classes
from .crops import seeded
from .labels import Source, read_source
from .photos import UNREADABLE, read_image

Transform = Callable[[Image.Image], torch.Tensor]


class LabelledImages(Dataset):
    """The images of a :class:`~mae_transfer.data.labels.Source`, transformed.

    Args:
        source: where they are.
        training: transforms draw anew each time, and an unreadable image is skipped; otherwise neither.
        img_size, transform, mode, skip_unreadable: see :class:`LabelledPhotos`.
    """

    def __init__(
        self,
        source: Source,
        training: bool,
        img_size: int | tuple[int, int] | None = None,
        transform: dict | Transform | None = None,
        mode: str = 'RGB',
        skip_unreadable: bool | None = None,
    ):
        self.root, self.labels, self.images = source.root, source.labels, source.images
        self.training, self.mode = training, mode
        self.skip_unreadable = training if skip_unreadable is None else skip_unreadable
        # One block of bytes, which worker processes share; millions of str would be copied by their reference counts.
        self._names = np.array([os.fsencode(name) for name in source.names])
        self._metainfo = dict(classes=source.classes, present=source.present)
        if not callable(transform):
            config = dict(transform or dict(type='FineTuneCrop' if training else 'CentreCrop'))
            config.setdefault('img_size', 224 if img_size is None else img_size)
            transform = TRANSFORMS.build(config)
        self.transform = transform

    @property
    def metainfo(self) -> dict:
        """``classes``: the names of the label space, in label order; ``present``: the labels that occur in a set of a
        part of it, sorted, else all. MMEngine hands it to the metrics."""
        return self._metainfo

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """The path of an image, relative to :attr:`root`."""
        return os.fsdecode(self._names[index])

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        """The image ``index``, or ``(index, seed)`` of :class:`~mae_transfer.data.sampler.SeededSampler`.

        With a seed, the transform's random numbers follow from it alone; without one, in training from the worker's
        generator, otherwise from the index.
        """
        if isinstance(key, tuple):
            index, seed = key
        else:
            index, seed = key, int(torch.randint(2**62, ())) if self.training else key
        if index >= len(self):
            raise IndexError(index)  # without it, iteration would not end
        skipped = []
        for step in range(len(self)):
            number = (index + step) % len(self)
            try:
                image = self._read(number)
                break
            except UNREADABLE as error:
                if not self.skip_unreadable:
                    trouble = 'does not exist' if isinstance(error, FileNotFoundError) else 'cannot be read as an image'
                    raise UserError(
                        f'{self.root / self.name(number)} {trouble}: an evaluation leaves no image out; restore it'
                    ) from error
                skipped.append(self.name(number))
        else:
            raise UserError(f'none of the {len(self)} images in {self.root} can be read: {skipped[0]} is the first')
        with seeded(seed):
            return dict(inputs=self.transform(image), labels=int(self.labels[number]), indices=number, skipped=skipped)

    def _read(self, number: int) -> Image.Image:
        if self.images is not None:
            return Image.fromarray(self.images[number]).convert(self.mode)
        return read_image(self.root / self.name(number), self.mode)


@DATASETS.register_module()
class LabelledPhotos(LabelledImages):
    """Images with one label each, as uint8 crops.

    Args:
        data_root: the data's folder. Without ``ann_file`` it holds ``<split>/<class>/**/*.jpg`` (ImageNet, Tiny
            ImageNet), or is or holds CIFAR's folder as published (``cifar-10-batches-py``, ``cifar-100-python``).
        split: 'train': random crops in training; every other one is for evaluation. None: the class folders lie
            directly in ``data_root``, for evaluation (ImageNet-A, -R, -Sketch, ImageNetV2). With ``ann_file`` the split
            names no folder.
        ann_file: list file (``path label`` a line; Places365's) or iNaturalist's JSON, relative to ``data_root``.
        data_prefix: the folder below ``data_root`` in which the paths begin.
        img_size: side, or (height, width), of the crops; 224 by default. A transform with a size of its own keeps that.
        transform: config or callable: PIL image -> uint8 tensor (C, h, w). Default: ``FineTuneCrop`` for 'train', else
            ``CentreCrop``.
        classes: the names of the label space: 'imagenet', a list, a file with one a line, or a number of classes. Then
            a folder tree may hold a part of them. By default the folders', the list's or the JSON's own.
        mode: 'RGB' (3 channels) or 'L' (1).
        per_class: keep this many images of each class, chosen by their paths.
        skip_unreadable: skip an unreadable image for the next one, whose label and index the item then has, and name it
            in ``skipped``. By default only for 'train': an image that is replaced would falsify an accuracy.

    Items: dict of ``inputs`` (C, h, w) uint8, ``labels`` int, ``indices`` int (the number of the image that was read),
    ``skipped`` list of str.

    Raises:
        UserError: data that are not there, not in that layout, or have labels out of range; an unreadable image in
            evaluation.
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
        mode: str = 'RGB',
        per_class: int | None = None,
        skip_unreadable: bool | None = None,
    ):
        source = read_source(data_root, split, ann_file, data_prefix, classes, per_class)
        super().__init__(source, split == 'train', img_size, transform, mode, skip_unreadable)


@FUNCTIONS.register_module()
def collate_labelled(items: list[dict]) -> dict:
    """Items of :class:`LabelledPhotos` or ``ImageNetC`` to a batch.

    Returns:
        ``inputs`` (B, C, h, w) uint8, ``labels`` and ``indices`` (B,) int64, ``skipped`` list of paths, and ``groups``,
        B names such as 'gaussian_noise/3', where the items have a ``group``.
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
