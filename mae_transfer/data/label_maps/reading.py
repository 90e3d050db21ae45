"""Files of label maps: a picture with one number for each pixel."""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ...errors import UserError
from ..files.unreadable import UnreadableError

#: Formats that keep every number as it was written, and the suffixes by which label maps are found. JPEG and WebP
#: change numbers, a PGM's are stretched to its greatest one, and a GIF's indices are numbered anew when it is saved;
#: such a file is refused, whatever its name.
_FORMATS = ('PNG', 'TIFF', 'BMP')
LABEL_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp', '.gif')
#: Pillow's image modes with one number for each pixel; in 'P' (palette) it is an index, which is the label.
_ONE_NUMBER = ('1', 'L', 'P', 'I', 'I;16', 'I;16L', 'I;16B', 'F')
#: Grey values of 2 and 4 bits, which Pillow stretches to 0..255, and by what.
_STRETCHED = {'L;2': 85, 'L;4': 17}


class LabelMap(NamedTuple):
    """What a file holds.

    ``numbers``: (H, W), uint8 where all lie in 0..255, otherwise int64. ``form``: what is unusual about the file,
    though its meaning is plain, e.g. 'three equal channels'; '' if nothing is. ``palette``: (N, 3) uint8, the colour of
    each index; None for a file without one.
    """

    numbers: np.ndarray
    form: str = ''
    palette: np.ndarray | None = None


def decode_label_map(content: bytes, path: str) -> LabelMap:
    """The numbers in a file.

    Grey values of 1 to 32 bits, palette indices, whole floats, and colours whose channels are equal are taken; so is an
    alpha channel that is opaque everywhere.

    Args:
        content: of the file.
        path: of the file, for messages.

    Raises:
        UnreadableError: a file that is damaged, or no picture.
        UserError: a file in a format that changes numbers; several pages; colours;
            floats that are not whole; transparent pixels; a grey scale from white to black.
    """
    # Decoders raise errors of any kind for damaged files.
    try:
        with Image.open(BytesIO(content)) as image:
            image.verify()  # a PNG's check sums, which decoding ignores
        with Image.open(BytesIO(content)) as image:
            mode, raw = image.mode, _mode_in_file(image)
            if image.format not in _FORMATS:
                raise UserError(
                    f'label map {path} is a {image.format} file, which may change the numbers: save it as PNG or TIFF'
                )
            if (pages := getattr(image, 'n_frames', 1)) > 1:
                raise UserError(f'label map {path} has {pages} pages: give a file with one')
            numbers: np.ndarray | None = np.asarray(image)
            colours = image.getpalette('RGB') if mode == 'P' else None
        if ';16' in raw and mode not in _ONE_NUMBER:  # of the 16 bits of a channel Pillow keeps 8
            numbers = _by_opencv(content)
    except UserError:
        raise
    except UnidentifiedImageError:  # such as a TIFF of float64
        mode = raw = ''
        colours = None
        numbers = _by_opencv(content) if content[:2] in (b'II', b'MM') else None
    except Exception as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise UnreadableError(f'label map {path}', 'cannot be read', reason) from None
    if numbers is None:
        raise UnreadableError(f'label map {path}', 'cannot be read', 'it is no picture, or is damaged')
    if mode in ('1', 'L') and 'I' in raw:
        raise UserError(f'label map {path} has a grey scale in which 0 is white: save it with 0 as black')
    if numbers.ndim > 2:
        return _equal_channels(numbers, mode, path)
    form = ''
    if numbers.dtype.kind not in 'iub':
        numbers, form = _whole(numbers, path), 'whole floats'
    palette = None if colours is None else np.array(colours, np.uint8).reshape(-1, 3)
    return LabelMap(_compact(numbers // _STRETCHED[raw] if raw in _STRETCHED else numbers), form, palette)


def _mode_in_file(image: Image.Image) -> str:
    """Pillow's raw mode: how the pixels are stored, such as 'L;4' for 4 bits; '' where it is not known."""
    tile = getattr(image, 'tile', ())
    arguments = tile[0][3] if tile else ''
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return raw if isinstance(raw, str) else ''


def _by_opencv(content: bytes) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _whole(numbers: np.ndarray, path: str) -> np.ndarray:
    # Comparisons with NaN are False.
    whole = (np.abs(numbers) < 2**24) & (numbers == np.rint(np.nan_to_num(numbers, posinf=0, neginf=0)))
    if not whole.all():
        wrong = numbers[~whole]
        raise UserError(
            f'label map {path} holds floats, and {wrong.size} of its {numbers.size} pixels are not whole '
            f'numbers, e.g. {wrong[0]:g}: give one whole number per pixel'
        )
    return numbers.astype(np.int64)


def _equal_channels(channels: np.ndarray, mode: str, path: str) -> LabelMap:
    """The numbers (H, W) of colours (H, W, C) that are all grey."""
    has_alpha = mode.endswith(('A', 'a'))
    colours = channels[..., : channels.shape[-1] - has_alpha]
    if mode == 'CMYK' or not (colours == colours[..., :1]).all():
        raise UserError(
            f'label map {path} is a colour image (mode {mode or "unknown"}): give one number per pixel, in a grey '
            'or palette image'
        )
    if has_alpha and not (channels[..., -1] == np.iinfo(channels.dtype).max).all():
        raise UserError(
            f'label map {path} has transparent pixels (mode {mode}), and transparency is no label: save it '
            'without alpha'
        )
    form = 'grey values with alpha' if mode == 'LA' else 'three equal channels'
    return LabelMap(_compact(colours[..., 0]), form)


def _compact(numbers: np.ndarray) -> np.ndarray:
    if numbers.dtype in (np.uint8, bool):
        return numbers.astype(np.uint8, copy=False)
    numbers = numbers.astype(np.int64)
    return numbers.astype(np.uint8) if numbers.min() >= 0 and numbers.max() <= 255 else numbers
