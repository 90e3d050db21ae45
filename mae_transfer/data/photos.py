"""Unlabelled photos for pre-training: a folder tree, a list file, or an ImageNet layout."""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

import torch
from PIL import Image
from timm.layers import to_2tuple
from torch.utils.data import Dataset
from torchvision.transforms import InterpolationMode, v2

from ..errors import UserError
from ..registry import DATASETS, FUNCTIONS
from .crops import torch_seeded

_BICUBIC = InterpolationMode.BICUBIC
SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm')

#: What Pillow raises on a file that is missing, cut short or no image.
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@DATASETS.register_module()
class Photos(Dataset):
    """Photos as uint8 crops, each with the seed that its masking follows.

    Args:
        data_root: a folder, searched through for images; with ``train/`` and ``val/`` inside (ImageNet's layout), the
            one that ``split`` names is searched. Or a text file with one path a line, relative to the file's folder;
            what stands behind the path, after a space, is ignored.
        split: 'train': random crops; 'val': centre crops of photos that 'train' leaves out.
        img_size: side, or (height, width), of the crops.
        augment: how 'train' varies a photo (MAE Table 1e): 'random_size', crops of random place, size and shape,
            flipped or not; 'fixed_size', crops of random place, flipped or not; 'none', the centre as for 'val'.
        scale: least and greatest share of the photo's area that a crop of random size shows (MAE: .2 to 1).
        color_jitter: strengths of random brightness, contrast, saturation and hue in 'train'; None for none.
        hold_out: share of the photos kept for 'val' where the source has no parts of its own; chosen by the photo's
            path, so it is the same in every run. 1 gives all to 'val', 0 all to 'train'.
        mode: 'RGB' (3 channels) or 'L' (1).

    Items: dict of ``inputs`` (C, h, w) uint8, ``seeds`` int64 scalar, ``skipped`` list of the paths that could not be
    read on the way to this item: an unreadable photo is skipped for the next one.

    Raises:
        UserError: no such folder, no image in it; an ``augment`` or ``color_jitter`` that is not of these.
    """

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        img_size: int | tuple[int, int] = 224,
        augment: str = 'random_size',
        scale: tuple[float, float] = (0.2, 1.0),
        color_jitter: tuple[float, float, float, float] | None = None,
        hold_out: float = 0.02,
        mode: str = 'RGB',
    ):
        if split not in ('train', 'val'):
            raise UserError(f"split is 'train' or 'val'; found '{split}'")
        self.root, self.names = find_photos(data_root, split, hold_out)
        self.split, self.mode = split, mode
        self.transform = _train_crop(to_2tuple(img_size), augment, scale, color_jitter)
        if split == 'val':
            self.transform = _centre_crop(to_2tuple(img_size))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        """The photo ``index``, or ``(index, seed)`` of :class:`~mae_transfer.data.sampler.SeededSampler`.

        With a seed, crop, flip and masking follow from it alone; without one, from the photo's number for 'val' and
        from the worker's generator for 'train'.
        """
        if isinstance(key, tuple):
            index, seed = key
        else:
            index, seed = key, key if self.split == 'val' else int(torch.randint(2**62, ()))
        skipped = []
        for step in range(len(self.names)):
            name = self.names[(index + step) % len(self.names)]
            try:
                image = read_image(self.root / name, self.mode)
                break
            except UNREADABLE:
                skipped.append(name)
        else:
            raise UserError(f'none of the {len(self.names)} photos in {self.root} can be read as an image')
        with torch_seeded(seed):
            return dict(inputs=self.transform(image), seeds=seed, skipped=skipped)


def _centre_crop(size: tuple[int, int]) -> v2.Compose:
    """As ImageNet is evaluated: the shorter side to 256 / 224 of the crop, then its centre."""
    return v2.Compose(
        [v2.Resize(round(max(size) * 256 / 224), interpolation=_BICUBIC), v2.CenterCrop(size), v2.PILToTensor()]
    )


def _train_crop(
    size: tuple[int, int], augment: str, scale: tuple[float, float], color_jitter: tuple[float, ...] | None
) -> v2.Compose:
    """The crops of training; see :class:`Photos`."""
    if augment == 'none' and color_jitter is None:
        return _centre_crop(size)
    if color_jitter is not None and (len(color_jitter) != 4 or augment == 'none'):
        raise UserError(
            'color_jitter is four strengths, brightness, contrast, saturation and hue, e.g. (.4, .4, .2, .1), beside '
            'random crops; '
            f"found {color_jitter} beside augment='{augment}'"
        )
    if augment == 'random_size':
        crop = [v2.RandomResizedCrop(size, scale=scale, interpolation=_BICUBIC)]
    elif augment == 'fixed_size':
        crop = [v2.Resize(round(max(size) * 256 / 224), interpolation=_BICUBIC), v2.RandomCrop(size)]
    else:
        raise UserError(f"augment is 'random_size', 'fixed_size' or 'none'; found '{augment}'")
    jitter = [] if color_jitter is None else [v2.ColorJitter(*color_jitter)]
    return v2.Compose([*crop, v2.RandomHorizontalFlip(), *jitter, v2.PILToTensor()])


def find_photos(data_root: str, split: str, hold_out: float) -> tuple[Path, list[str]]:
    """The folder and the sorted paths below it that make up a split; see :class:`Photos`."""
    root = Path(data_root)
    if root.is_file():
        lines = [line.strip() for line in root.read_text().splitlines()]
        names = [_listed_name(line) for line in lines if line]
        if not names:
            raise UserError(f'list file {root} names no photo: one path a line, relative to {root.parent}')
        return root.parent, _part(names, split, hold_out)
    if not root.is_dir():
        raise UserError(
            f'data_root {root} does not exist: give a folder of images or a list file (--cfg-options data_root=...)'
        )
    if (root / 'train').is_dir() and (root / 'val').is_dir():
        root, hold_out = root / split, None
    names = images_below(root)
    if not names:
        raise UserError(f'no image in {root}: looked for {", ".join(SUFFIXES)} in all folders below it')
    return root, names if hold_out is None else _part(names, split, hold_out)


def images_below(root: Path) -> list[str]:
    """The sorted paths, relative to ``root``, of all images in it and in its folders, linked ones included."""
    names = []
    for folder, _, files in os.walk(root, followlinks=True):
        below = '' if Path(folder) == root else os.path.relpath(folder, root)
        names += [os.path.join(below, file) for file in files if file.lower().endswith(SUFFIXES)]
    return sorted(names)


def read_image(path: Path, mode: str) -> Image.Image:
    """The image in a file, converted to 'RGB' or 'L'; raises one of :data:`UNREADABLE`."""
    with Image.open(path) as file:
        return file.convert(mode)


def _listed_name(line: str) -> str:
    """The path of a list file's line: as far as its last word that ends like an image (names may hold spaces)."""
    name = line
    while not name.lower().endswith(SUFFIXES) and len(name.split()) > 1:
        name = name.rsplit(None, 1)[0]
    return name


def _part(names: list[str], split: str, hold_out: float) -> list[str]:
    """'val': the photos whose paths hash lowest, at least one; 'train': the others."""
    if hold_out == 1 and split == 'val':
        return names
    if hold_out == 0:
        if split == 'val':
            raise UserError(
                'hold_out=0 leaves no photo for validation: give a share, e.g. .02, or a data_root with train/ and val/'
            )
        return names
    if len(names) < 2:
        raise UserError(f'{len(names)} photo cannot be split into train and val: give at least two')
    count = min(max(1, round(len(names) * hold_out)), len(names) - 1)
    held = set(sorted(names, key=lambda name: (crc32(name.encode()), name))[:count])
    return [name for name in names if (name in held) == (split == 'val')]


@FUNCTIONS.register_module()
def collate_photos(items: list[dict]) -> dict:
    """Items of :class:`Photos` to a batch: ``inputs`` (B, C, h, w) uint8, ``seeds`` (B,) int64, ``skipped`` list of
    paths."""
    return dict(
        inputs=torch.stack([item['inputs'] for item in items]),
        seeds=torch.tensor([item['seeds'] for item in items], dtype=torch.int64),
        skipped=[name for item in items for name in item['skipped']],
    )
