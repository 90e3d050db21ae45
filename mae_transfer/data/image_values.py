"""What the values in an image file are: their type and the number of channels, from its header."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

_TIFF = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
#: Profiles and notes in PNGs may be as large as all of them together, instead of Pillow's 1 MB for each.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
_NPY = b'\x93NUMPY'
MOST_BANDS = 16
_MOST_PAGES = 1024
_JPEG2000_SIZE = b'\xff\x51'  # the marker of the codestream's sizes
_JPEG2000_DEPTH = 40  # bytes from the marker to the depth of the first component


class UnexpectedValues(ValueError):
    """An image file whose values are not what the settings say, or cannot be told from the file."""


class ImageValues(NamedTuple):
    """The values of an image file.

    Attributes:
        dtype: 'uint8', 'uint16', 'float32', ...
        channels: their number.
    """

    dtype: str
    channels: int

    def __str__(self) -> str:
        channels = 'channel' if self.channels == 1 else 'channels'
        return f'{self.channels} {channels} of {self.dtype}'


def open_stream(source: Path | bytes) -> BinaryIO:
    """A file of this path or content, opened for reading."""
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, 'rb')


@contextmanager
def opened_by_pillow(stream: BinaryIO) -> Iterator[Any]:
    """An image that Pillow opened, for as long as the block runs.

    Raises:
        OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError: a file that cannot be read. The errors of
            Pillow's decoders have no common base; all others become ``OSError``.
    """
    try:
        with Image.open(stream) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise
    except Exception as error:
        raise OSError(f'{type(error).__name__}: {error}') from error


def is_tiff(start: bytes) -> bool:
    """Whether a file that starts with these bytes is a TIFF."""
    return start[:4] in _TIFF


def is_npy(start: bytes) -> bool:
    """Whether a file that starts with these bytes is an array of NumPy."""
    return start.startswith(_NPY)


def image_values(source: Path | bytes) -> ImageValues:
    """What the values in a file are; its pixels are not decoded.

    Args:
        source: the path of the file, or its content.

    Raises:
        UnexpectedValues: an array of which the channels cannot be told.
        OSError, ValueError: no image that Pillow, tifffile or NumPy can read.
    """
    with open_stream(source) as stream:
        start = stream.read(8)
        stream.seek(0)
        if is_npy(start):
            return _values(npy_array(source))
        if is_tiff(start):
            series = tiff_series(stream)
            return ImageValues(np.dtype(series.dtype).name, channels_of(series.shape, axes_of(series)))
        with opened_by_pillow(stream) as image:
            return pillow_values(image)


def pillow_values(image: Any) -> ImageValues:
    """What the values in the file of an opened image are; Pillow gives 16-bit colours a mode of 8 bits.

    Args:
        image: opened by ``PIL.Image.open``.
    """
    channels = len(image.getbands())
    if image.mode in ('P', 'PA'):  # colours
        channels = 4 if image.mode == 'PA' or 'transparency' in image.info else 3
    if image.mode == '1':
        return ImageValues('bool', channels)
    if image.mode.startswith('I;16'):
        return ImageValues('uint16', channels)
    if image.mode in ('I', 'F'):
        deep = 'float32' if image.mode == 'F' else 'uint16' if image.format in ('PNG', 'PPM') else 'int32'
        return ImageValues(deep, channels)
    parameters = image.tile[0][3] if getattr(image, 'tile', None) else None
    if image.format == 'PNG' and isinstance(parameters, str) and ';16' in parameters:
        return ImageValues('uint16', 2 if parameters.startswith('LA') else channels)
    if image.format == 'PPM' and isinstance(parameters, tuple) and parameters[-1] > 255:
        return ImageValues('uint16', channels)
    if image.format == 'JPEG2000' and _jpeg2000_bits(image) > 8:
        return ImageValues('uint16', channels)
    return ImageValues('uint8', channels)


def _jpeg2000_bits(image: Any) -> int:
    place = image.fp.tell()
    image.fp.seek(0)
    start = image.fp.read(4096)
    image.fp.seek(place)
    depth = start.find(_JPEG2000_SIZE) + _JPEG2000_DEPTH
    return (start[depth] & 0x7F) + 1 if _JPEG2000_DEPTH <= depth < len(start) else 8


def tiff_series(stream: BinaryIO) -> Any:
    """The first image of an opened TIFF, as tifffile describes it: ``shape``, ``axes``, ``dtype``, ``asarray()``.

    Raises:
        ValueError: no image, or a damaged one.
        PIL.Image.DecompressionBombError: more pixels than Pillow would decode.
    """
    try:
        file = tifffile.TiffFile(stream)
        _check_pages(file)
        series = file.series[0]
        if series.kind == 'shaped' and len(file.series) > 1:  # pages that were written one by one
            stream.seek(0)
            series = tifffile.TiffFile(stream, is_shaped=False).series[0]
        height, width = (series.shape[series.axes.index(letter)] for letter in 'YX')
        _check_tiles(series.keyframe)
    except Exception as error:  # of any kind, if the file is damaged
        raise ValueError(f'a TIFF without an image, or damaged: {error}') from error
    if (most := Image.MAX_IMAGE_PIXELS) and height * width > 2 * most:
        raise Image.DecompressionBombError(f'{height * width} pixels are more than {2 * most}')
    return series


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
    pages_are_rows = series.kind == 'shaped' and len(shape) == 3 and shape[0] > MOST_BANDS >= shape[2]
    return '' if pages_are_rows and series.axes.endswith('YX') else series.axes


def npy_array(source: Path | bytes) -> np.ndarray:
    """The array in a file of NumPy; a path's is mapped, not read.

    Raises:
        OSError, ValueError: no such file, or a damaged one.
    """
    try:
        if isinstance(source, bytes):
            return np.load(io.BytesIO(source), allow_pickle=False)
        return np.load(source, mmap_mode='r', allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # of any kind, if the file is damaged
        raise ValueError(f'a damaged array: {error}') from error


def channel_axis(shape: tuple[int, ...], axes: str = '') -> int | None:
    """The axis of an array's channels; None for (H, W).

    Args:
        shape: of the array, without axes of one element if there are more than three.
        axes: a letter for each, 'Y' and 'X' for rows and columns, as tifffile names them; without it, of the first and
            the last axis of three the shorter one.

    Raises:
        UnexpectedValues: it cannot be told.
    """
    if len(shape) == 2:
        return None
    if len(shape) != 3:
        raise UnexpectedValues(f'has an array of shape {shape}: an image is (H, W), (H, W, C) or (C, H, W)')
    if axes:
        return next((axis for axis, letter in enumerate(axes) if letter not in 'YX'), None)
    if shape[0] == shape[2]:
        raise UnexpectedValues(
            f'has an array of shape {shape}, whose channels may be the first or the last axis: save it as a TIFF, or '
            'with sides other than the number of its channels'
        )
    return 0 if shape[0] < shape[2] else 2


def squeezed(shape: tuple[int, ...], axes: str) -> tuple[tuple[int, ...], str]:
    """A TIFF's shape and axes without those of one element, rows and columns excepted."""
    kept = [(side, letter) for side, letter in zip(shape, axes) if side > 1 or letter in 'YX']
    return tuple(side for side, _ in kept), ''.join(letter for _, letter in kept)


def channels_of(shape: tuple[int, ...], axes: str = '') -> int:
    """The number of channels of an array of this shape; see :func:`channel_axis`."""
    if axes:
        shape, axes = squeezed(shape, axes)
    axis = channel_axis(shape, axes)
    return 1 if axis is None else shape[axis]


def _values(array: np.ndarray) -> ImageValues:
    return ImageValues(array.dtype.name, channels_of(array.shape))
