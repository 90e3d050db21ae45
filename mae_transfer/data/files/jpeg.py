"""Decode JPEGs at the scale that a crop needs, by the fastest decoder at hand: simplejpeg, or else OpenCV.

Both, and Pillow, use libjpeg-turbo in the same way: their pixels are equal, at every scale. A scaled decoder leaves out
the high frequencies of each block of 8 x 8 pixels, which a crop that is made smaller would lose anyway.
"""

from __future__ import annotations

import cv2
import numpy as np

try:
    import simplejpeg
except ImportError:  # an extra of this package
    simplejpeg = None

#: The scales that libjpeg-turbo computes fast: 1 / n of each side.
REDUCTIONS = (1, 2, 4, 8)

#: 'GRAYSCALE_n' is the flag of the scale alone.
_OPENCV_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
#: Markers of frames that libjpeg decodes: baseline, extended and progressive Huffman coding.
_FRAMES = (0xC0, 0xC1, 0xC2)


def jpeg_size(content: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG of 8-bit grey or colours; None for any other file, such as one in CMYK.

    Args:
        content: the bytes of the file.
    """
    if content[:2] != b'\xff\xd8':
        return None
    place = 2
    while place + 9 < len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _FRAMES:
            bits, components = content[place + 4], content[place + 9]
            height, width = (int.from_bytes(content[place + i : place + i + 2], 'big') for i in (5, 7))
            return (width, height) if bits == 8 and components in (1, 3) and width and height else None
        elif marker == 0xDA:  # the pixels begin
            return None
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4], 'big')
    return None


def decode_jpeg(content: bytes, reduction: int = 1) -> np.ndarray | None:
    """The pixels of a JPEG that :func:`jpeg_size` knows, RGB uint8 (ceil(H / n), ceil(W / n), 3).

    Args:
        content: the bytes of the file.
        reduction: n, one of :data:`REDUCTIONS`.

    Returns:
        None for a file that is damaged, or that the decoder does not read: Pillow may still read it, or say why not.
    """
    return _by_opencv(content, reduction) if simplejpeg is None else _by_simplejpeg(content, reduction)


def _by_simplejpeg(content: bytes, reduction: int) -> np.ndarray | None:
    if reduction == 1:
        least = dict(min_height=0, min_width=0)
    else:
        width, height = jpeg_size(content) or (0, 0)
        least = dict(min_height=-(-height // reduction), min_width=-(-width // reduction))
    try:
        return simplejpeg.decode_jpeg(content, **least)
    except ValueError:
        return None


def _by_opencv(content: bytes, reduction: int) -> np.ndarray | None:
    flags = _OPENCV_FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # more pixels than its limit
        return None
