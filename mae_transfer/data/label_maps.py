"""Files of label maps: a picture with one number for each pixel."""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ..errors import UserError

#: Suffixes of label maps, and the formats that keep every number as it was written. JPEG and WebP change numbers, and a
#: PGM's are stretched to its greatest one.
LABEL_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp', '.gif')
_FORMATS = ('PNG', 'TIFF', 'BMP', 'GIF')
#: Pillow's image modes with one number for each pixel; in 'P' (palette) it is an index, which is the label.
_ONE_NUMBER = ('1', 'L', 'P', 'I', 'I;16', 'I;16L', 'I;16B', 'F')
#: Grey values of 2 and 4 bits, which Pillow stretches to 0..255, and by what.
_STRETCHED = {'L;2': 85, 'L;4': 17}


class LabelMap(NamedTuple):
    """What a file holds.

    ``numbers``: (H, W), uint8 where all lie in 0..255, otherwise int64. ``form``: what is unusual about the file, though
    its meaning is plain, e.g. 'three equal channels'; '' if nothing is.
    """

    numbers: np.ndarray
    form: str = ''


def decode_label_map(content: bytes, path: str) -> LabelMap:
    """The numbers in a file.

    Grey values of 1 to 32 bits, palette indices, whole floats, and colours whose channels are equal are taken; so is an
    alpha channel that is opaque everywhere.

    Args:
        content: of the file.
        path: of the file, for messages.

    Raises:
        UserError: a file that is damaged, no picture, or in a format that changes numbers; several pages; colours; floats
            that are not whole; transparent pixels; a grey scale from white to black.
    """
    # Decoders raise errors of any kind for damaged files.
    try:
        with Image.open(BytesIO(content)) as image:
            if image.format not in _FORMATS:
                raise UserError(
                    f'label map {path} is a {image.format} file, which may change the numbers: save it as PNG or TIFF'
                )
            if (pages := getattr(image, 'n_frames', 1)) > 1:
                raise UserError(f'label map {path} has {pages} pages: give a file with one')
            scale = _grey_scale(image)
            numbers, palette = np.asarray(image), image.getpalette() if image.mode == 'P' else None
            kind, mode = image.format, image.mode
        if mode not in _ONE_NUMBER and kind != 'GIF':
            # Pillow keeps only the higher 8 of the 16 bits of a channel; OpenCV keeps them all.
            decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
            numbers = numbers if decoded is None else decoded
    except UserError:
        raise
    except Exception as error:
        raise UserError(f'label map {path} cannot be read: {_one_line(error)}') from None
    if scale is None:
        raise UserError(f'label map {path} has a grey scale in which 0 is white: save it with 0 as black')
    if kind == 'GIF' and palette:
        _check_gif(numbers, palette, path)
    if mode in _ONE_NUMBER:
        form = ''
        if mode == 'F':
            numbers, form = _whole(numbers, path), 'whole floats'
        return LabelMap(_compact(numbers // scale if scale > 1 else numbers), form)
    return _equal_channels(numbers, mode, path)


def _grey_scale(image: Image.Image) -> int | None:
    """By what Pillow multiplies the numbers of a grey image; None if it turns them round, as white is 0 in the file."""
    if image.mode not in ('1', 'L') or not image.tile:
        return 1
    arguments = image.tile[0][3]
    raw = arguments if isinstance(arguments, str) else arguments[0] if arguments else ''
    if isinstance(raw, str) and 'I' in raw:
        return None
    return _STRETCHED.get(raw, 1)


def _whole(numbers: np.ndarray, path: str) -> np.ndarray:
    # Comparisons with NaN are False.
    whole = (np.abs(numbers) < 2**24) & (numbers == np.rint(np.nan_to_num(numbers, posinf=0, neginf=0)))
    if not whole.all():
        wrong = numbers[~whole]
        raise UserError(
            f'label map {path} holds floats (mode F), and {wrong.size} of its {numbers.size} pixels are not whole '
            f'numbers, e.g. {wrong[0]:g}: give one whole number per pixel'
        )
    return numbers.astype(np.int64)


def _equal_channels(channels: np.ndarray, mode: str, path: str) -> LabelMap:
    """The numbers (H, W) of colours (H, W, C) that are all grey."""
    if channels.ndim == 2:  # OpenCV reads some grey files so
        return LabelMap(_compact(channels))
    has_alpha = mode.endswith(('A', 'a'))
    colours = channels[..., : channels.shape[-1] - has_alpha]
    if mode == 'CMYK' or not (colours == colours[..., :1]).all():
        raise UserError(
            f'label map {path} is a colour image (mode {mode}): give one number per pixel, in a grey or palette image'
        )
    if has_alpha and not (channels[..., -1] == np.iinfo(channels.dtype).max).all():
        raise UserError(
            f'label map {path} has transparent pixels (mode {mode}), and transparency is no label: save it without alpha'
        )
    form = 'grey values with alpha' if mode == 'LA' else 'three equal channels'
    return LabelMap(_compact(colours[..., 0]), form)


def _check_gif(numbers: np.ndarray, palette: list[int], path: str) -> None:
    """Refuse a GIF of greys in another order than its indices: programs renumber a GIF's greys as they save it."""
    used = np.flatnonzero(np.bincount(numbers.ravel()))
    colours = np.array(palette).reshape(-1, 3)[used]
    if (colours == colours[:, :1]).all() and not (colours[:, 0] == used).all():
        raise UserError(
            f'label map {path} is a GIF whose grey values are not its indices, so that either could be the label: save '
            'it as PNG'
        )


def _compact(numbers: np.ndarray) -> np.ndarray:
    if numbers.dtype in (np.uint8, bool):
        return numbers.astype(np.uint8)
    numbers = numbers.astype(np.int64)
    return numbers.astype(np.uint8) if numbers.min() >= 0 and numbers.max() <= 255 else numbers


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split()) or type(error).__name__
