"""Unlabelled photos for pre-training: a folder tree, a list file, an ImageNet layout, or shards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.layers import to_2tuple
from torchvision.transforms import InterpolationMode, v2

from ...errors import UserError
from ...registry import DATASETS, FUNCTIONS
from ..files.bands import Bands
from ..files.file_names import FileNames
from ..files.image_files import suffixes_of
from ..files.image_reader import ImageReader
from ..files.photo_sources import find_photos
from ..seeds import torch_seeded
from .crops import CentreCrop, InRange, Pixels
from .image_dataset import MAX_PIXELS, ImageDataset, pixel_limit
from .random_crop import CropReader, Decoded, RandomSizeCrop

_BICUBIC = InterpolationMode.BICUBIC


@DATASETS.register_module()
class Photos(ImageDataset):
    """Photos as uint8 crops, each with the seed that its masking follows from.

    Args:
        data_root: a folder, searched for images at any depth; if it contains ``train/`` and ``val/`` (ImageNet's
            layout), only the one that ``split`` names is searched. Hidden files and folders are passed over. Or a list
            file with one path per line, relative to the file's folder; anything after the path, separated by a space,
            tab, comma or semicolon, is ignored. Or one image, which is then used for both splits. Or shards: a folder
            of tar files and no images, or one tar file; see docs/own_data.md.
        split: 'train': random crops; 'val': centre crops of photos that 'train' leaves out.
        img_size: side, or (height, width), of the crops.
        augment: the augmentation of 'train' (MAE Table 1e): 'random_size', crops of random position, size and aspect
            ratio, flipped at random; 'fixed_size', crops of random position, flipped at random; 'none', the centre crop
            of 'val'.
        scale: least and greatest share of the photo's area that a crop of random size shows (MAE: .2 to 1).
        color_jitter: strengths of random brightness, contrast, saturation and hue in 'train'; None for no jitter.
        hold_out: share of the photos that is held out for 'val', unless ``data_root`` contains ``train/`` and ``val/``.
            They are chosen by a hash of their paths, so they are the same in every run. 1 gives all to 'val', 0 all to
            'train'.
        bands, exif_orientation: which bands of the files are read, and whether they are turned as their EXIF
            orientation says; see :class:`~mae_transfer.data.files.image_reader.ImageReader`. By default they are not
            turned, as in the official code.
        max_pixels: see the base class.

    Items: dict of ``inputs`` (C, h, w), uint8, or float32 for files of more bits; ``seeds`` int; ``skipped`` list of
    str: the paths of unreadable photos, for which the item shows the next readable one.

    Raises:
        UserError: no such folder, no image in it; a file that is no image and no list; a list of which no file exists;
            an unknown ``split`` or ``augment``; an invalid ``color_jitter``; files whose values are not what ``bands``
            says.
    """

    # torchvision's transforms draw only from torch's generator.
    seeded = staticmethod(torch_seeded)

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        img_size: int | tuple[int, int] = 224,
        augment: str = 'random_size',
        scale: tuple[float, float] = (0.2, 1.0),
        color_jitter: tuple[float, float, float, float] | None = None,
        hold_out: float = 0.02,
        bands: Bands = 'RGB',
        exif_orientation: bool = False,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        if split not in ('train', 'val'):
            raise UserError(f"split is 'train' or 'val'; found '{split}'")
        self.reader = ImageReader(bands, exif_orientation)
        self.files = find_photos(data_root, split, hold_out, suffixes_of(bands))
        super().__init__(self.files.root, training=split == 'train', skip_unreadable=True)
        self.max_pixels = pixel_limit(max_pixels)
        self.files.examine(self.reader)
        if color_jitter is not None and self.reader.bands != 'RGB':
            raise UserError(f"color_jitter={color_jitter} is for bands='RGB'; found bands={bands}: set it to None")
        _check_crops(scale, color_jitter)
        self.transform: Callable[[Any], torch.Tensor] = CentreCrop(img_size)
        if split == 'train':
            self.transform = _train_transform(to_2tuple(img_size), augment, scale, color_jitter, self.reader.mode)
        self.read_crop: CropReader | None = None
        # A subclass with another `item` expects whole photos.
        if isinstance(self.transform, RandomSizeCrop) and type(self).item is Photos.item:
            self.read_crop = CropReader(self.transform, self.reader, self.files.source, self.seeded)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def names(self) -> FileNames:
        """The names of all photos."""
        return self.files.names

    def name(self, index: int) -> str:
        """See the base class."""
        return self.names[index]

    def read(self, index: int) -> Pixels:
        """See the base class."""
        return self.reader(self.files.source(index))

    def why_unreadable(self, index: int, error: Exception) -> str:
        """See the base class."""
        return self.files.why_unreadable(index, error)

    def read_for(self, index: int, seed: int) -> Pixels | Decoded:
        """See the base class: a JPEG is decoded at the scale that the crop needs."""
        return self.read(index) if self.read_crop is None else self.read_crop(index, seed)

    def item(self, image: Any, index: int, seed: int) -> dict:
        """See the class; the masking follows from the same seed as the crop."""
        return dict(inputs=self.transform(image), seeds=seed)


def _check_crops(scale: Any, color_jitter: Any) -> None:
    """Refuse impossible settings of random crops; raises ``UserError``."""
    if not (_numbers(scale, 2) and 0 < scale[0] <= scale[1] <= 1):
        raise UserError(f"scale is the least and the greatest share of a photo's area, e.g. (.2,1); found {scale}")
    if color_jitter is not None and not (
        _numbers(color_jitter, 4) and min(color_jitter) >= 0 and color_jitter[3] <= 0.5
    ):
        raise UserError(
            'color_jitter is four strengths, 0 or more (brightness, contrast, saturation, and hue up to .5), '
            f'e.g. (.4,.4,.2,.1); found {color_jitter}'
        )


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, (list, tuple))
        and len(values) == count
        and all(isinstance(value, (int, float)) for value in values)
    )


def _train_transform(
    size: tuple[int, int],
    augment: str,
    scale: tuple[float, float],
    color_jitter: tuple[float, ...] | None,
    mode: str | None,
) -> Callable[[Any], torch.Tensor]:
    """The transform of 'train', for PIL images of a mode or, without one, for arrays; see :class:`Photos`."""
    if augment == 'none' and color_jitter is None:
        return CentreCrop(size)
    if color_jitter is not None and augment == 'none':
        raise UserError(f"color_jitter needs random crops; found {color_jitter} with augment='{augment}'")
    if augment == 'random_size' and color_jitter is None and mode is not None:
        return RandomSizeCrop(size, scale)
    if augment == 'random_size':
        crop = [v2.RandomResizedCrop(size, scale=scale, interpolation=_BICUBIC)]
    elif augment == 'fixed_size':
        crop = [v2.Resize(round(max(size) * 256 / 224), interpolation=_BICUBIC), v2.RandomCrop(size)]
    else:
        raise UserError(f"augment is 'random_size', 'fixed_size' or 'none'; found '{augment}'")
    jitter = [] if color_jitter is None else [v2.ColorJitter(*color_jitter)]
    return InRange([*crop, v2.RandomHorizontalFlip(), *jitter])


@FUNCTIONS.register_module()
def collate_photos(items: list[dict]) -> dict:
    """Collate items of :class:`Photos` to a batch.

    Returns:
        ``inputs`` (B, C, h, w), ``seeds`` (B,) int64, ``skipped`` list of paths; pictures for a tokenizer as
        ``token_images`` (B, C, h', w'), where the items have them.
    """
    names = ('inputs', 'token_images') if 'token_images' in items[0] else ('inputs',)
    return dict(
        {name: torch.stack([item[name] for item in items]) for name in names},
        seeds=torch.tensor([item['seeds'] for item in items], dtype=torch.int64),
        skipped=[name for item in items for name in item['skipped']],
    )
