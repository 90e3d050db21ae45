"""Read the pixels of image files: 8-bit colours and greys, or chosen bands of any depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import UserError
from .bands import MEASURE, Bands, resolve_bands
from .image_values import (
    EXIF_ORIENTATION,
    ImageValues,
    channel_axis,
    image_values,
    is_npy,
    is_tiff,
    npy_array,
    open_stream,
    pillow_values,
    squeezed,
    tiff_series,
)

MOST_EXAMINED = 8
#: The errors for a file that is missing, truncated, or not an image.
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class UnexpectedValues(ValueError):
    """An image file whose values are not what the settings say."""


class ImageReader:
    """Reads image files.

    With 'RGB' and 'L', files must have 8 bits per value and at most four channels; palettes, CMYK, grey and transparent
    images are converted as Pillow does (transparency is dropped). With band numbers, a file may be a TIFF or GeoTIFF
    (one image, or one page for each band), a NumPy array (H, W), (H, W, C) or (C, H, W), or any image that Pillow
    reads; its values keep their range: uint8 stays uint8; all other types become float32, which is exact for integers
    of up to 24 bits and float32, and rounds float64 to 7 digits. All files must have the type of the first one.

    Args:
        bands: 'RGB', 'L', or the numbers of the bands, counted from 1.
        exif_orientation: whether an image is turned as its EXIF orientation says.

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
        places = sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(MOST_EXAMINED, len(paths)))})
        for path in (paths[place] for place in places):
            try:
                values = image_values(path)
            except UNREADABLE:
                continue
            try:
                self.check(values)
            except UnexpectedValues as error:
                raise UserError(f'{path} {error}') from None

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
            self._check_tiff(source)
        with open_stream(source) as stream, Image.open(stream) as file:
            self.check(pillow_values(file))
            image = ImageOps.exif_transpose(file) if self.exif_orientation else file
            return image.convert(mode)

    def _check_tiff(self, source: Path | bytes) -> None:
        """Refuse a TIFF of which Pillow would open only the first page or band, or none."""
        self.check(values := image_values(source))
        try:
            with open_stream(source) as stream, Image.open(stream) as file:
                channels = len(file.getbands())
        except UnidentifiedImageError:
            channels = 0
        if channels != values.channels:
            raise UnexpectedValues(self._advice(values))

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
                return self._turned(_decoded(series), tag.value if tag else 1)
            with Image.open(stream) as file:
                image: Image.Image = file
                orientation = image.getexif().get(EXIF_ORIENTATION, 1) if self.exif_orientation else 1
                if pillow_values(image).dtype == 'uint16' and image.format != 'JPEG2000':
                    stream.seek(0)
                    array = _by_opencv(stream.read())
                else:
                    if image.mode == 'P':  # indices of colours are no values
                        image = image.convert('RGBA' if 'transparency' in image.info else 'RGB')
                    array = np.asarray(image)
        return self._turned(_channels_last(array, 'YXS'[: array.ndim]), orientation)

    def _turned(self, array: np.ndarray, orientation: int) -> np.ndarray:
        """An array (H, W, C) as its EXIF orientation says, if the settings want it turned."""
        if not self.exif_orientation or orientation not in range(2, 9):
            return array
        if orientation in (5, 6, 7, 8):
            array = array.transpose(1, 0, 2)
        if orientation in (2, 3, 6, 7):
            array = array[:, ::-1]
        if orientation in (3, 4, 7, 8):
            array = array[::-1]
        return array


def _start(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:8]
    with open(source, 'rb') as file:
        return file.read(8)


def _decoded(series: Any) -> np.ndarray:
    """The array of a TIFF's image, (H, W, C); a codec that is not installed is a ``UserError``."""
    try:
        array = series.asarray()
    except Exception as error:  # of any kind, if the file is damaged
        if 'imagecodecs' in str(error):
            raise UserError(f"a TIFF's {str(error).strip(chr(34))}: pip install imagecodecs") from None
        raise ValueError(str(error)) from error
    shape, axes = squeezed(series.shape, series.axes)
    return _channels_last(array.reshape(shape), axes)


def _channels_last(array: np.ndarray, axes: str = '') -> np.ndarray:
    """An array as (H, W, C)."""
    axis = channel_axis(array.shape, axes)
    return array[..., None] if axis is None else np.moveaxis(array, axis, 2)


def _by_opencv(content: bytes) -> np.ndarray:
    """16-bit PNG and PPM, which Pillow reads only in grey; colours in the order of the file."""
    array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if array is None:
        raise OSError('OpenCV cannot decode it')
    if array.ndim == 3 and array.shape[2] in (3, 4):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
    return array
