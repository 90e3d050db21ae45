"""What the values in an image file are: their type and the number of channels, from its header."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from .image_limits import long_png_notes
from .tiff import MOST_ELONGATED, axes_of, elongation, is_tiff, tiff_series, zero_is_white

_NPY = b'\x93NUMPY'
_ZIP = b'PK\x03\x04'
_PICKLES = tuple(b'\x80' + bytes([protocol]) for protocol in range(2, 6))
_JPEG2000_SIZE = b'\xff\x51'  # the marker of the codestream's sizes
_JPEG2000_DEPTH = 40  # bytes from the marker to the depth of the first component


class UnexpectedValues(ValueError):
    """An image file whose values are not what the settings say, or cannot be told from the file."""


class ImageValues(NamedTuple):
    """The values of an image file.

    Attributes:
        dtype: 'uint8', 'uint16', 'float32', ...
        channels: their number.
        zero_is_white: whether the grey scale goes from white to black; only TIFFs say so.
    """

    dtype: str
    channels: int
    zero_is_white: bool = False

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
        with long_png_notes(), Image.open(stream) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise
    except Exception as error:
        raise OSError(f'{type(error).__name__}: {error}') from error


def is_npy(start: bytes) -> bool:
    """Whether a file that starts with these bytes is an array of NumPy."""
    return start.startswith(_NPY)


def image_values(source: Path | bytes) -> ImageValues:
    """What the values in a file are; its pixels are not decoded.

    Args:
        source: the path of the file, or its content.

    Raises:
        UnexpectedValues: an array of which the channels cannot be told; no numbers; an archive or a pickle.
        OSError, ValueError: no image that Pillow, tifffile or NumPy can read.
    """
    with open_stream(source) as stream:
        start = stream.read(8)
        stream.seek(0)
        if is_npy(start):
            return _values(npy_array(source))
        if is_tiff(start):
            series = tiff_series(stream)
            dtype = number_type(np.dtype(series.dtype))
            return ImageValues(dtype, channels_of(series.shape, axes_of(series)), zero_is_white(series))
        refuse_containers(start)
        with opened_by_pillow(stream) as image:
            return pillow_values(image)


def refuse_containers(start: bytes) -> None:
    """Refuse what some programs write under an image's or array's name.

    Args:
        start: the first bytes of a file.

    Raises:
        UnexpectedValues: an archive of arrays, or a pickle.
    """
    if start.startswith(_ZIP):
        raise UnexpectedValues('is a ZIP archive, as NPZ files are: save each array by numpy.save, as .npy')
    if start.startswith(_PICKLES):
        raise UnexpectedValues('is a pickle, which is not read, as it may run code: save the array by numpy.save')


def number_type(dtype: np.dtype) -> str:
    """The name of a type of real numbers.

    Raises:
        UnexpectedValues: another type.
    """
    if dtype.kind not in 'buif':
        advice = 'a band for each part' if dtype.kind == 'c' else 'an array of numbers'
        raise UnexpectedValues(f'has values of {dtype}, which are no real numbers: save {advice}')
    return dtype.name


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


def npy_array(source: Path | bytes) -> np.ndarray:
    """The array in a file of NumPy; a path's is mapped, not read.

    Raises:
        UnexpectedValues: Python objects, which would have to be unpickled.
        OSError, ValueError: no such file, or a damaged one.
    """
    try:
        if _has_objects(source):
            raise UnexpectedValues('holds Python objects, which are not read, as they may run code: save numbers')
        if isinstance(source, bytes):
            return np.load(io.BytesIO(source), allow_pickle=False)
        return np.load(source, mmap_mode='r', allow_pickle=False)
    except (OSError, UnexpectedValues):
        raise
    except Exception as error:  # of any kind, if the file is damaged
        raise ValueError(f'a damaged array: {error}') from error


def _has_objects(source: Path | bytes) -> bool:
    with open_stream(source) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(stream)[2].hasobject if version < (3, 0) else False


def channel_axis(shape: tuple[int, ...], axes: str = '') -> int | None:
    """The axis of an array's channels; None for (H, W).

    Args:
        shape: of the array, without axes of one element if there are more than three.
        axes: a letter for each, 'Y' and 'X' for rows and columns, as tifffile names them; without it, of the first and
            the last axis of three the one without which a square is left, otherwise the shorter one.

    Raises:
        UnexpectedValues: it cannot be told; an array without values.
    """
    if 0 in shape:
        raise UnexpectedValues(f'has an array of shape {shape}, which holds no values')
    if len(shape) == 2:
        return None
    if len(shape) != 3:
        raise UnexpectedValues(f'has an array of shape {shape}: an image is (H, W), (H, W, C) or (C, H, W)')
    if axes:
        return next((axis for axis, letter in enumerate(axes) if letter not in 'YX'), None)
    if shape[0] != shape[2]:
        if shape[1] > 1 and shape[1] in (shape[0], shape[2]):
            return 0 if shape[1] == shape[2] else 2
        first, last = elongation(shape[1], shape[2]), elongation(shape[0], shape[1])  # of what is left
        chosen, other = (first, last) if shape[0] < shape[2] else (last, first)
        if chosen <= MOST_ELONGATED or other >= chosen / 2:
            return 0 if shape[0] < shape[2] else 2
    raise UnexpectedValues(
        f'has an array of shape {shape}, whose channels may be the first or the last axis: save it, as (H, W, C), by '
        "tifffile.imwrite(path, array, photometric='minisblack', planarconfig='contig')"
    )


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
    return ImageValues(number_type(array.dtype), channels_of(array.shape))
