"""Measure the mean and the standard deviation of each channel of images, for the settings ``mean`` and ``std``.

    python -m mae_transfer.data.statistics data/mine/images --bands 3,2,1,7

reads every image of a folder tree, or of a list file, once, and prints lines for a config, and the same as options of
a command line. A folder with ``train/`` and ``val/`` stands for its ``train/``. In ADE20K's and similar layouts, give
the folder of the images alone: label maps are images, too, and refused.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import UserError, shorten
from ..paths import shown
from ..progress import Progress
from .files.bands import Bands, resolve_bands
from .files.channel_statistics import ChannelStatistics, as_tuple
from .files.examination import MOST_EXAMINED
from .files.image_files import evenly, suffixes_of
from .files.image_reader import UNREADABLE, ImageReader
from .files.image_values import UnexpectedValues, image_values
from .files.photo_files import PhotoFiles
from .files.photo_sources import find_photos

#: Names of the folders of photos and of their label maps.
_LAYOUTS = tuple(
    (photos, labels)
    for photos in ('images', 'image', 'img_dir', 'imgs', 'photos', 'JPEGImages', 'leftImg8bit')
    for labels in ('annotations', 'ann_dir', 'labels', 'masks', 'mask', 'label', 'SegmentationClass', 'gtFine')
)
TOOL = 'mae_transfer.data.statistics'


class Measured(NamedTuple):
    """What :func:`measure` finds.

    Attributes:
        bands: which bands were read.
        dtype: the type of the values in the files, e.g. 'uint16'.
        statistics: of the channels.
        unreadable: the paths of the files that cannot be read.
    """

    bands: Bands
    dtype: str
    statistics: ChannelStatistics
    unreadable: list[Path]


def measure(
    photos: PhotoFiles, bands: Bands | None = None, report: Callable[[int, int], None] = lambda done, count: None
) -> Measured:
    """Read images, and measure their channels.

    Args:
        photos: where the images are.
        bands: which bands; by default 'RGB' if the files look like photos (8 bits, up to three channels), otherwise
            all of the first file.
        report: is called after each file with the number of files that are done and the number of all.

    Raises:
        UserError: files with other values than the bands say, or of several types or numbers of channels; no file that
            can be read; a channel that has one value everywhere.
    """
    count = None
    if bands is None:
        bands, count = _usual_bands(photos)
    reader, statistics, unreadable = ImageReader(bands), ChannelStatistics(), list[Path]()
    photos.examine(reader)
    for index in range(len(photos)):
        path = photos.path(index)
        try:
            source = photos.source(index)
            if count is not None and (values := image_values(source)).channels != count:
                raise UnexpectedValues(f'has {values}, but other files have {count}: name the bands by --bands')
            image = np.asarray(reader(source))
            statistics.add(image if image.ndim == 3 else image[..., None])
        except UnexpectedValues as error:
            raise UserError(f'{shown(path)} {error}') from None
        except UNREADABLE:
            unreadable.append(path)
        report(index + 1, len(photos))
    if not statistics.images:
        raise UserError(f'none of {len(photos)} images can be read: {shown(photos.path(0))} is the first')
    names = reader.numbers or tuple(range(1, len(statistics.mean) + 1))
    if constant := [name for name, std in zip(names, statistics.std) if not std]:
        others = ','.join(str(name) for name in names if name not in constant)
        one, advice = len(constant) == 1, f'leave {"it" if len(constant) == 1 else "them"} out, by --bands {others}'
        raise UserError(
            f'band{"" if one else "s"} {shorten(map(str, constant))} {"has" if one else "have"} one value everywhere '
            f'in {statistics.images} images, and normalisation would divide by the deviation, 0: '
            + (advice if others else 'there is nothing to learn from these images')
        )
    return Measured(reader.bands, reader.dtype or 'uint8', statistics, unreadable)


def _usual_bands(photos: PhotoFiles) -> tuple[Bands, int | None]:
    """'RGB' for photos; otherwise all bands, and their number, which all files must have."""
    pictures, are_photos, found = ImageReader('RGB'), True, list[int]()
    for place in evenly(len(photos), MOST_EXAMINED):
        try:
            source = photos.source(place)
            found.append(image_values(source).channels)
            pictures.examine_file(source)
            are_photos = are_photos and photos.path(place).suffix.lower() in suffixes_of('RGB')
        except UnexpectedValues:
            are_photos = False
        except UNREADABLE:
            continue
    if not found or are_photos and min(found) <= 3:
        return 'RGB', None
    return tuple(range(1, found[0] + 1)), found[0]


def _refuse_label_maps(data: str, names: Sequence[str]) -> None:
    """Refuse a folder in the layout of ADE20K, whose label maps would be measured, too."""
    parts = Counter(name.partition('/')[0] for name in names)
    for photos, labels in _LAYOUTS:
        if photos in parts and labels in parts:
            raise UserError(
                f'{shown(data)}: {parts[labels]} of {len(names)} images are in {labels}/, where label maps are, by the '
                f'names of the folders: give the folder of the photos alone, {shown(Path(data) / photos)}'
            )


def lines(measured: Measured, source: str) -> list[str]:
    """What the command line prints: comments, settings for a config, the same as ``--cfg-options``."""
    statistics, (mean, std) = measured.statistics, measured.statistics.settings()
    bands = repr(measured.bands)
    unread = ''
    if measured.unreadable:
        unread = f'; {len(measured.unreadable)} cannot be read: {shorten(map(shown, measured.unreadable), 3)}'
    least, greatest = (
        as_tuple(float(f'{value:.6g}') for value in values) for values in (statistics.least, statistics.greatest)
    )
    options = shlex.join(f'{name}={value.replace(" ", "")}' for name, value in _named(bands.strip("'"), mean, std))
    return [
        f'# measured on {statistics.images} images of {source}, {statistics.pixels} pixels{unread}',
        f'# values are {measured.dtype}; least {least}, greatest {greatest}',
        *(f'{name} = {value}' for name, value in _named(bands, mean, std)),
        f'# the same for a command line: --cfg-options {options}',
    ]


def _named(bands: str, mean: str, std: str) -> list[tuple[str, str]]:
    return [('bands', bands), ('mean', mean), ('std', std)]


def main(argv: list[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, or 2 after an error, one line on stderr."""
    parser = argparse.ArgumentParser(prog=f'python -m {TOOL}', description=__doc__.splitlines()[0])
    parser.add_argument('data', metavar='DATA', help='folder of images, at any depth, of shards, or list file')
    parser.add_argument(
        '--bands',
        help="'RGB', 'L', or numbers of bands, counted from 1, e.g. 3,2,1,7; default: RGB for photos, all else",
    )
    parser.add_argument('--count', type=int, help='measure so many images, evenly spaced, instead of all')
    args = parser.parse_args(argv)
    try:
        if args.count is not None and args.count < 1:
            raise UserError(f'--count is a number of images, 1 or more; found {args.count}')
        bands = None if args.bands is None else resolve_bands(args.bands)
        with redirect_stdout(sys.stderr):  # MMEngine's log goes to the standard output, which is for the settings
            photos = find_photos(args.data, 'train', 0, suffixes_of((1,) if bands is None else bands))
            _refuse_label_maps(args.data, photos.names)
            photos = photos.select(evenly(len(photos), args.count or len(photos)))
            with Progress('images measured') as told:
                measured = measure(photos, bands, told)
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print('\n'.join(lines(measured, args.data)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
