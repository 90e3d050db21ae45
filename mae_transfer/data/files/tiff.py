"""The image in a TIFF, as tifffile describes it, and what its header says of the values."""

from __future__ import annotations

import math
from typing import Any, BinaryIO

import tifffile
from PIL import Image

from .exif import EXIF_ORIENTATION
from .image_limits import quiet_tifffile

_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_MOST_PAGES = 1024
_REDUCED, _MASK = 1, 4  # bits of the tag NewSubfileType: a thumbnail or overview, a mask of transparency
_NODATA = 42113  # GDAL's tag
#: The most bands that pages are taken for without a look at their sides, and that a message lists.
MOST_BANDS = 16
#: The greatest ratio of an image's sides that the order of axes may give where another order gives less.
MOST_ELONGATED = 4


def is_tiff(start: bytes) -> bool:
    """Whether a file that starts with these bytes is a TIFF."""
    return start[:4] in _TIFF


def tiff_series(stream: BinaryIO) -> Any:
    """The first image of an opened TIFF that is no thumbnail, overview or mask of another, as tifffile describes it:
    ``shape``, ``axes``, ``dtype``, ``asarray()``.

    Raises:
        ValueError: no image, or a damaged one.
        PIL.Image.DecompressionBombError: more pixels than Pillow would decode.
    """
    try:
        with quiet_tifffile():
            file = tifffile.TiffFile(stream)
            _check_pages(file)
            if file.series[0].kind == 'shaped' and len(file.series) > 1:  # pages that were written one by one
                stream.seek(0)
                file = tifffile.TiffFile(stream, is_shaped=False)
            series = next(filter(is_full_image, file.series), file.series[0])
            height, width = (series.shape[series.axes.index(letter)] for letter in 'YX')
            _check_tiles(series.keyframe)
    except Exception as error:  # of any kind, if the file is damaged
        raise ValueError(f'a TIFF without an image, or damaged: {error}') from error
    if (most := Image.MAX_IMAGE_PIXELS) and height * width > 2 * most:
        raise Image.DecompressionBombError(f'{height * width} pixels are more than {2 * most}')
    return series


def is_full_image(series: Any) -> bool:
    """Whether an image of a TIFF is no thumbnail, overview or mask of another."""
    return not int(series.keyframe.subfiletype or 0) & (_REDUCED | _MASK)


def _check_pages(file: tifffile.TiffFile) -> None:
    """Find pages that follow each other in a circle, as in a damaged file: tifffile would list them for ever."""
    for number in range(_MOST_PAGES):
        try:
            file.pages[number]
        except IndexError:
            return
    raise ValueError(f'more than {_MOST_PAGES} pages')


def _check_tiles(page: Any) -> None:
    """Find strips or tiles that are missing, which tifffile would fill with zeros, be there millions."""
    expected = math.prod(page.chunked)
    if not page.is_contiguous and len(page.dataoffsets) < expected:
        raise ValueError(f'{len(page.dataoffsets)} of {expected} strips or tiles')


def axes_of(series: Any) -> str:
    """A letter for each axis of a TIFF's image; '' where only its shape tells which are the channels.

    tifffile's ``imwrite`` makes a page of each row of an array (H, W, C) unless it is told of the channels, and notes
    the array's shape in the file.
    """
    shape = series.shape
    if series.kind == 'shaped' and len(shape) == 3 and series.axes.endswith('YX'):
        if shape[0] > MOST_BANDS or elongation(*shape[1:]) > MOST_ELONGATED:
            return ''
    return series.axes


def elongation(one: int, other: int) -> float:
    """The longer of two sides divided by the shorter."""
    return max(one, other) / min(one, other)


def is_whole_picture(series: Any, size: tuple[int, int]) -> bool:
    """Whether what Pillow and OpenCV read of a TIFF, of this size, turned or not, is its image, not a thumbnail."""
    return sorted((series.keyframe.imagewidth, series.keyframe.imagelength)) == sorted(size)


def orientation_of(series: Any) -> int:
    """The EXIF orientation of a TIFF's image, 1 to 8."""
    tag = series.keyframe.tags.get(EXIF_ORIENTATION)
    return tag.value if tag else 1


def zero_is_white(series: Any) -> bool:
    """Whether the grey scale of a TIFF's image goes from white to black, as of scanners and X-ray machines."""
    return series.keyframe.photometric == tifffile.PHOTOMETRIC.MINISWHITE


def nodata_of(series: Any) -> float | None:
    """The value of pixels without data, as GDAL notes it in a GeoTIFF; None where it notes none, 0 or NaN.

    0 is the usual filling, and lies near the other values; NaN is refused where it occurs.
    """
    tag = series.keyframe.tags.get(_NODATA)
    try:
        value = float(tag.value) if tag else 0.0
    except ValueError:  # a text that is no number
        return None
    return None if not value or math.isnan(value) else value
