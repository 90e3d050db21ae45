"""Read the pixels of image files: 8-bit colours and greys, or chosen bands of any depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError

from ...errors import UserError
from ...paths import shown
from .bands import MEASURE, Bands, resolve_bands
from .examination import examined, note_remarks
from .exif import EXIF_ORIENTATION, turned
from .image_limits import quiet_tifffile
from .image_values import (
    ImageValues,
    UnexpectedValues,
    channel_axis,
    image_values,
    is_npy,
    npy_array,
    number_type,
    open_stream,
    opened_by_pillow,
    pillow_values,
    refuse_containers,
    squeezed,
)
from .tiff import MOST_BANDS, axes_of, is_tiff, is_whole_picture, orientation_of, tiff_series, zero_is_white

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
        zero_is_white: whether the grey scales of all TIFFs go from white to black; None before the first one.
    """

    def __init__(self, bands: Bands = 'RGB', exif_orientation: bool = False) -> None:
        self.bands, self.exif_orientation = resolve_bands(bands), exif_orientation
        self.mode = self.bands if isinstance(self.bands, str) else None
        self.numbers = self.bands if isinstance(self.bands, tuple) else ()
        self.dtype: str | None = None
        self.zero_is_white: bool | None = None

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

    def examine(self, paths: Sequence[Path], contents: Mapping[Path, bytes] | None = None) -> None:
        """Look at the headers of some files, evenly spaced; those that cannot be read are left for later.

        What a user should know of the values is logged, once for each kind.

        Args:
            contents: of paths that are no files of their own.

        Raises:
            UserError: a file with other values than the settings say.
        """
        fitting, faults, contents = 0, list[str](), contents or {}
        for path in examined(paths):
            try:
                self.examine_file(contents.get(path, path))
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
        if self.mode is None:
            note_remarks(examined(paths), contents)

    def examine_file(self, source: Path | bytes) -> None:
        """Look at the header of a file: its path or its content.

        Raises:
            UnexpectedValues: other values than the settings say.
            OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError: a file that cannot be read.
        """
        self.check(values := image_values(source))
        self._check_scale(values.zero_is_white)
        with open_stream(source) as stream:
            if self.mode is None or not is_tiff(stream.read(8)):
                return
            # Pillow and OpenCV would open only the first page or band of some TIFFs, and others not at all.
            stream.seek(0)
            try:
                with opened_by_pillow(stream) as file:
                    channels, size = len(file.getbands()), file.size
            except UnidentifiedImageError:
                channels, size = 0, (0, 0)
            stream.seek(0)
            if channels and not is_whole_picture(tiff_series(stream), size):
                raise UnexpectedValues(
                    f"has a thumbnail of {size[0]} x {size[1]} pixels in front, which bands='{self.bands}' would read: "
                    'save the image alone, or ' + self._advice(values).partition(': ')[2]
                )
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

    def _check_scale(self, zero_is_white: bool) -> None:
        if self.mode is not None:  # Pillow and OpenCV invert it
            return
        if self.zero_is_white is None:
            self.zero_is_white = zero_is_white
        if zero_is_white != self.zero_is_white:
            here, there = ('white', 'black') if zero_is_white else ('black', 'white')
            raise UnexpectedValues(f'has 0 as {here}, but other files have 0 as {there}: save all alike')

    def convert(self, array: np.ndarray) -> Image.Image | np.ndarray:
        """What the reader would return for an image that is in memory, (H, W, 3) uint8."""
        return self.select(array) if self.mode is None else Image.fromarray(array).convert(self.mode)

    def select(self, array: np.ndarray) -> np.ndarray:
        """The chosen bands of an array (H, W, C), uint8 or float32; raises as calling the reader."""
        self.check(ImageValues(number_type(array.dtype), array.shape[2]))
        chosen = array[..., np.array(self.numbers) - 1]
        if chosen.dtype in (np.bool_, np.uint8):
            return np.ascontiguousarray(chosen, np.uint8)
        if count := int((~np.isfinite(chosen)).sum()):
            raise UnexpectedValues(f'has {count} of {chosen.size} values that are NaN or infinite: give these a number')
        return _as_float32(chosen)

    def _picture(self, source: Path | bytes, mode: str) -> Image.Image:
        start = _start(source)
        if is_npy(start):
            array = _channels_last(npy_array(source))
            self.check(values := ImageValues(number_type(array.dtype), array.shape[2]))
            if values.channels == 2:
                raise UnexpectedValues(self._advice(values))
            return Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array).convert(mode)
        if is_tiff(start):
            self.examine_file(source)
        refuse_containers(start)
        with open_stream(source) as stream, opened_by_pillow(stream) as file:
            self.check(pillow_values(file))
            image = ImageOps.exif_transpose(file) if self.exif_orientation else file
            return image.convert(mode)

    def _advice(self, values: ImageValues) -> str:
        numbers = tuple(range(1, values.channels + 1))
        bands = '1' if len(numbers) == 1 else str(numbers).replace(' ', '')
        bands = f'bands={bands}, or the bands that the model is to see,'
        if len(numbers) > MOST_BANDS:
            bands = 'bands to those that the model is to see, e.g. bands=(1,2,3),'
        return (
            f"has {values}, but bands='{self.bands}' reads 8-bit grey or colours: set {bands} and mean and std as "
            f'{MEASURE} prints them'
        )

    def _array(self, source: Path | bytes) -> np.ndarray:
        """All channels of a file, (H, W, C) of the file's own type."""
        start = _start(source)
        if is_npy(start):
            self._check_scale(False)
            return _channels_last(npy_array(source))
        with open_stream(source) as stream:
            if is_tiff(start):
                series = tiff_series(stream)
                self._check_scale(zero_is_white(series))
                return turned(_decoded(series, source), orientation_of(series))
            self._check_scale(False)
            refuse_containers(start)
            with opened_by_pillow(stream) as image:
                orientation = image.getexif().get(EXIF_ORIENTATION, 1) if self.exif_orientation else 1
                if pillow_values(image).dtype == 'uint16':
                    stream.seek(0)
                    array = _by_opencv(stream.read(), pillow_values(image).channels)
                elif image.mode in ('P', 'PA'):  # indices of colours are no values
                    array = np.asarray(image.convert('RGB' if pillow_values(image).channels == 3 else 'RGBA'))
                else:
                    array = np.asarray(image)
        return turned(_channels_last(array, 'YXS'[: array.ndim]), orientation)


def _as_float32(array: np.ndarray) -> np.ndarray:
    """An array (H, W, C) of finite numbers as float32.

    Raises:
        UnexpectedValues: they are beyond its range, or differ by less than it resolves.
    """
    with np.errstate(over='ignore'):
        result = np.ascontiguousarray(array, np.float32)
    if array.dtype.itemsize < 4 or array.dtype == np.float32:
        return result
    if count := int((~np.isfinite(result)).sum()):
        raise UnexpectedValues(
            f'has {count} of {array.size} values beyond the range of float32, up to {np.abs(array).max():.3g}: scale '
            'them'
        )
    exact = array.astype(np.float64)
    lost, span = np.abs(result - exact).max((0, 1)), np.ptp(exact, (0, 1))
    is_constant = span <= 1e-12 * np.abs(exact).max((0, 1))  # but for the rounding of what computed it
    if (bad := np.flatnonzero((lost > 1e-3 * span) & ~is_constant)).size:
        least, greatest = exact[..., bad[0]].min(), exact[..., bad[0]].max()
        raise UnexpectedValues(
            f'has values from {least:.10g} to {greatest:.10g}, which float32 does not tell apart: subtract an offset'
        )
    return result


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
        with quiet_tifffile():
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
