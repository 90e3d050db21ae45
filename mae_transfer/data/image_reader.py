"""Read the pixels of image files: 8-bit colours and greys, or chosen bands of any depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import UserError
from ..paths import shown
from .bands import MEASURE, Bands, resolve_bands
from .exif import EXIF_ORIENTATION
from .image_files import evenly
from .image_values import (
    ImageValues,
    UnexpectedValues,
    axes_of,
    channel_axis,
    image_values,
    is_npy,
    is_tiff,
    npy_array,
    open_stream,
    opened_by_pillow,
    pillow_values,
    squeezed,
    tiff_series,
)

MOST_EXAMINED = 8
#: The errors for a file that is missing, truncated, or not an image.
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class ImageReader:
    """Reads image files.

    With 'RGB' and 'L', files must have 8 bits per value and at most four channels; palettes, CMYK, grey and transparent
    images are converted as Pillow does (transparency is dropped). With band numbers, a file may be a TIFF or GeoTIFF
    (one image, or one page for each band), a NumPy array (H, W), (H, W, C) or (C, H, W), or any image that Pillow
    reads; its values keep their range: uint8 stays uint8; all other types become float32, which is exact for integers
    of up to 24 bits and float32, and rounds float64 to 7 digits. All files must have the type of the first one.

    Args:
        bands: 'RGB', 'L', or the numbers of the bands, counted from 1.
        exif_orientation: whether an image is turned as its EXIF orientation says. A TIFF always is: Pillow and OpenCV
            do it, too.

    Attributes:
        mode: the mode of the PIL images that are returned; None where arrays are.
        dtype: the type of values that all files have; None before the first file is examined or read.
    """

    def __init__(self, bands: Bands = 'RGB', exif_orientation: bool = False) -> None:
        self.bands, self.exif_orientation = resolve_bands(bands), exif_orientation
        self.mode = self.bands if isinstance(self.bands, str) else None
        self.numbers = self.bands if isinstance(self.bands, tuple) else ()
        self.dtype: str | None = None

    def __call__(self, source: Path | bytes) -> Image.Image | np.ndarray:
        """The image of a file.

        Args:
            source: the path of the file, or its content.

        Returns:
            For 'RGB' and 'L' a PIL image of that mode; otherwise an array (H, W, C), uint8 or float32.

        Raises:
            UnexpectedValues: other values than the settings say.
            OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError: a file that cannot be read.
        """
        return self.select(self._array(source)) if self.mode is None else self._picture(source, self.mode)

    def examine(self, paths: Sequence[Path]) -> None:
        """Look at the headers of some files, evenly spaced; those that cannot be read are left for later.

        Raises:
            UserError: a file with other values than the settings say.
        """
        fitting, faults = 0, list[str]()
        for path in examined(paths):
            try:
                self.examine_file(path)
                fitting += 1
            except UnexpectedValues as error:
                faults.append(f'{shown(path)} {error}')
            except UNREADABLE:
                continue
        if faults:
            fault = faults[0]
            if self.mode is not None and fitting:
                found = fault.partition(': set bands=')[0]
                fault = f'{found}: {fitting} of {fitting + len(faults)} files have these: convert it, or leave it out'
            raise UserError(fault)

    def examine_file(self, source: Path | bytes) -> None:
        """Look at the header of a file: its path or its content.

        Raises:
            UnexpectedValues: other values than the settings say.
            OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError: a file that cannot be read.
        """
        self.check(values := image_values(source))
        with open_stream(source) as stream:
            if self.mode is None or not is_tiff(stream.read(8)):
                return
            # Pillow and OpenCV would open only the first page or band of some TIFFs, and others not at all.
            stream.seek(0)
            try:
                with opened_by_pillow(stream) as file:
                    channels = len(file.getbands())
            except UnidentifiedImageError:
                channels = 0
        if channels != values.channels:
            raise UnexpectedValues(self._advice(values))

    def check(self, values: ImageValues) -> None:
        """Compare the values of a file with the settings.

        Raises:
            UnexpectedValues: they are not what the settings say.
        """
        if self.mode is not None:
            if values.dtype not in ('uint8', 'bool') or values.channels > 4:
                raise UnexpectedValues(self._advice(values))
            return
        if max(self.numbers) > values.channels:
            raise UnexpectedValues(
                f'has {values}, but bands={self.bands} names band {max(self.numbers)}: bands count from 1'
            )
        if self.dtype is None:
            self.dtype = values.dtype
        if values.dtype != self.dtype:
            raise UnexpectedValues(
                f'has values of {values.dtype}, but other files have {self.dtype}: convert all to one type and scale'
            )

    def convert(self, array: np.ndarray) -> Image.Image | np.ndarray:
        """What the reader would return for an image that is in memory, (H, W, 3) uint8."""
        return self.select(array) if self.mode is None else Image.fromarray(array).convert(self.mode)

    def select(self, array: np.ndarray) -> np.ndarray:
        """The chosen bands of an array (H, W, C), uint8 or float32; raises as calling the reader."""
        self.check(ImageValues(array.dtype.name, array.shape[2]))
        if array.dtype.kind not in 'buif':
            raise UnexpectedValues(f'has values of {array.dtype}, which are no numbers')
        array = array[..., np.array(self.numbers) - 1]
        array = np.ascontiguousarray(array, np.uint8 if array.dtype in (np.bool_, np.uint8) else np.float32)
        if array.dtype == np.float32 and not np.isfinite(array).all():
            count = int((~np.isfinite(array)).sum())
            raise UnexpectedValues(f'has {count} of {array.size} values that are NaN or infinite: give these a number')
        return array

    def _picture(self, source: Path | bytes, mode: str) -> Image.Image:
        start = _start(source)
        if is_npy(start):
            array = _channels_last(npy_array(source))
            self.check(values := ImageValues(array.dtype.name, array.shape[2]))
            if values.channels == 2:
                raise UnexpectedValues(self._advice(values))
            return Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array).convert(mode)
        if is_tiff(start):
            self.examine_file(source)
        with open_stream(source) as stream, opened_by_pillow(stream) as file:
            self.check(pillow_values(file))
            image = ImageOps.exif_transpose(file) if self.exif_orientation else file
            return image.convert(mode)

    def _advice(self, values: ImageValues) -> str:
        numbers = tuple(range(1, values.channels + 1))
        bands = '1' if len(numbers) == 1 else str(numbers).replace(' ', '')
        return (
            f"has {values}, but bands='{self.bands}' reads 8-bit grey or colours: set bands={bands}, or the bands that "
            f'the model is to see, and mean and std as {MEASURE} prints them'
        )

    def _array(self, source: Path | bytes) -> np.ndarray:
        """All channels of a file, (H, W, C) of the file's own type."""
        start = _start(source)
        if is_npy(start):
            return _channels_last(npy_array(source))
        with open_stream(source) as stream:
            if is_tiff(start):
                series = tiff_series(stream)
                tag = series.keyframe.tags.get(EXIF_ORIENTATION)
                return _turned(_decoded(series, source), tag.value if tag else 1)
            with opened_by_pillow(stream) as image:
                orientation = image.getexif().get(EXIF_ORIENTATION, 1) if self.exif_orientation else 1
                if pillow_values(image).dtype == 'uint16':
                    stream.seek(0)
                    array = _by_opencv(stream.read(), pillow_values(image).channels)
                elif image.mode in ('P', 'PA'):  # indices of colours are no values
                    array = np.asarray(image.convert('RGB' if pillow_values(image).channels == 3 else 'RGBA'))
                else:
                    array = np.asarray(image)
        return _turned(_channels_last(array, 'YXS'[: array.ndim]), orientation)


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """An array (H, W, C), turned as an EXIF orientation says."""
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def examined(paths: Sequence[Path]) -> list[Path]:
    """The files that are looked at in the beginning: eight, evenly spaced, the first and the last included."""
    return [paths[place] for place in evenly(len(paths), MOST_EXAMINED)]


def _start(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:8]
    with open(source, 'rb') as file:
        return file.read(8)


def _decoded(series: Any, source: Path | bytes) -> np.ndarray:
    """The array of a TIFF's image, (H, W, C); a codec that is not installed is a ``UserError``."""
    if series.keyframe.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise UnexpectedValues('has a palette, whose indices are no values: save it as RGB')
    try:
        array = series.asarray()
    except Exception as error:  # of any kind, if the file is damaged
        if 'imagecodecs' in str(error):
            name = source if isinstance(source, Path) else 'a TIFF'
            raise UserError(f'{name}: {str(error).strip(chr(34))}: pip install imagecodecs') from None
        raise ValueError(str(error)) from error
    if not (axes := axes_of(series)):
        return _channels_last(array)
    shape, axes = squeezed(series.shape, axes)
    return _channels_last(array.reshape(shape), axes)


def _channels_last(array: np.ndarray, axes: str = '') -> np.ndarray:
    """An array as (H, W, C)."""
    axis = channel_axis(array.shape, axes)
    return array[..., None] if axis is None else np.moveaxis(array, axis, 2)


def _by_opencv(content: bytes, channels: int) -> np.ndarray:
    """16-bit PNG, PPM and JPEG 2000, which Pillow reads only in grey, or scaled; colours in the order of the file."""
    array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if array is None:
        raise OSError('OpenCV cannot decode it')
    if array.ndim == 3 and array.shape[2] in (3, 4):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    return array[..., [0, 3]] if channels == 2 else array  # grey and its transparency come as four channels
