"""Which bands of image files a model sees: the setting ``bands`` of a config, and what follows from it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from PIL import Image

from ...errors import UserError

#: 'RGB' or 'L' (grey), both of 8 bits; or band numbers, counted from 1 as in GDAL.
Bands = str | Sequence[int]
#: ImageNet's, on the scale 0 to 255.
RGB_MEAN, RGB_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
MEASURE = 'python -m mae_transfer.data.statistics DATA --bands ...'


def resolve_bands(bands: Bands) -> str | tuple[int, ...]:
    """The setting ``bands`` as 'RGB', 'L' or a tuple of band numbers.

    Args:
        bands: one of these; or, as ``--cfg-options`` may pass them, numbers in a text: '3,2,1,7'.

    Raises:
        UserError: anything else.
    """
    if bands in ('RGB', 'L'):
        return str(bands)
    if isinstance(bands, str) and re.fullmatch(r'[(\[]?\s*\d+\s*(,\s*\d+\s*)*,?\s*[)\]]?', bands):
        bands = [int(number) for number in re.findall(r'\d+', bands)]
    if isinstance(bands, int) and not isinstance(bands, bool):
        bands = (bands,)
    if not isinstance(bands, str) and isinstance(bands, Sequence) and bands:
        if all(isinstance(band, int) and not isinstance(band, bool) and band > 0 for band in bands):
            return tuple(int(band) for band in bands)
    raise UserError(
        f"bands is 'RGB', 'L' (grey) or numbers of the file's bands, counted from 1, e.g. (3,2,1,7); found {bands!r}"
    )


def channel_count(bands: Bands) -> int:
    """The number of channels of images with these bands."""
    bands = resolve_bands(bands)
    return len(bands) if isinstance(bands, tuple) else len(Image.new(bands, (1, 1)).getbands())


def mean_of(bands: Bands, rgb: tuple[float, ...] = RGB_MEAN) -> tuple[float, ...]:
    """The mean of each channel where it is known: ``rgb``, by default ImageNet's, for 'RGB'.

    Raises:
        UserError: other bands.
    """
    return _known(bands, 'mean', rgb)


def std_of(bands: Bands, rgb: tuple[float, ...] = RGB_STD) -> tuple[float, ...]:
    """The standard deviation of each channel where it is known, as :func:`mean_of`."""
    return _known(bands, 'std', rgb)


def channel_values(name: str, values: Any) -> tuple[float, ...]:
    """The setting ``mean`` or ``std`` as a value for each channel; a single number is that of one channel.

    Args:
        name: 'mean' or 'std'.
        values: a number or a list of numbers.

    Raises:
        UserError: anything else; numbers that are not finite; a deviation that is not above 0.
    """
    numbers = [values] if isinstance(values, (int, float)) else values
    expected = f'{name} is a number{" above 0" if name == "std" else ""} for each channel, on the scale of the files'
    if not isinstance(numbers, (list, tuple)) or not numbers or not all(map(_is_number, numbers)):
        raise UserError(f'{expected}, e.g. {name}=(127.5,); found {values!r}: measure mean and std by {MEASURE}')
    if name == 'std' and min(numbers) <= 0:
        least = min(numbers)
        raise UserError(
            f'{expected}; found {least} for channel {numbers.index(least) + 1}: a band that has one value everywhere '
            f'must be left out; {MEASURE} prints mean and std'
        )
    return tuple(map(float, numbers))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def load_image(bands: Bands, exif_orientation: bool) -> dict[str, Any]:
    """The transform of detection and segmentation that loads images.

    It is MMCV's for 'RGB', which OpenCV reads as BGR; otherwise :class:`~mae_transfer.data.files.load_bands.LoadBands`.
    """
    if resolve_bands(bands) == 'RGB':
        return dict(type='LoadImageFromFile', color_type='color' if exif_orientation else 'color_ignore_orientation')
    return dict(type='mae_transfer.LoadBands', bands=bands, exif_orientation=exif_orientation)


def rand_augment(bands: Bands) -> str | None:
    """The augmentation of MAE's fine-tuning, in timm's notation; None for other bands than 'RGB'."""
    return 'rand-m9-mstd0.5-inc1' if resolve_bands(bands) == 'RGB' else None


def jitter_colours(bands: Bands) -> dict[str, Any]:
    """MMSegmentation's jitter of brightness, contrast, saturation and hue for 'RGB', where these mean something."""
    return dict(type='PhotoMetricDistortion' if resolve_bands(bands) == 'RGB' else 'mae_transfer.Unchanged')


def _known(bands: Bands, name: str, values: tuple[float, ...]) -> tuple[float, ...]:
    if (bands := resolve_bands(bands)) != 'RGB':
        raise UserError(
            f'bands={bands} needs its own {name}, {channel_count(bands)} value(s) on the scale of the files: measure '
            f'mean and std by {MEASURE}, and set both'
        )
    return values
