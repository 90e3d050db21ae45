"""One label map written in every form that people give."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

#: Colours of a palette whose greys are in another order than its indices.
PALETTE = [200, 30, 40, 10, 200, 30, 7, 7, 250, 255, 255, 255]


def palette(labels: np.ndarray) -> Image.Image:
    """A picture whose indices are the labels."""
    picture = Image.frombytes('P', labels.shape[::-1], labels.astype(np.uint8).tobytes())
    picture.putpalette(PALETTE)
    return picture


def channels(labels: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """Three equal channels (H, W, 3), and more."""
    return np.stack([labels] * 3 + [*more], -1)


def _by_pillow(convert: Callable, suffix: str = '.png', **settings) -> tuple[str, Callable]:
    return suffix, lambda labels, path: convert(labels).save(path, **settings)


def _by_opencv(convert: Callable, suffix: str = '.png') -> tuple[str, Callable]:
    return suffix, lambda labels, path: cv2.imwrite(str(path), convert(labels))


def _grey(kind: type) -> Callable:
    return lambda labels: Image.fromarray(labels.astype(kind))


def write_png(labels: np.ndarray, path: Path, bits: int = 4) -> None:
    """A grey PNG of less than 8 bits for a pixel, which Pillow does not write."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack('>I', len(content)) + name + content + struct.pack('>I', zlib.crc32(name + content))

    rows = b''
    for row in labels:
        text = ''.join(format(number, f'0{bits}b') for number in row)
        text += '0' * (-len(text) % 8)
        rows += b'\0' + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    header = struct.pack('>IIBBBBB', labels.shape[1], labels.shape[0], bits, 0, 0, 0, 0)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    )


#: {form: (suffix, write(labels, path))} for labels 0..3.
FORMS: dict[str, tuple[str, Callable]] = {
    'grey': _by_pillow(_grey(np.uint8)),
    'grey of 2 bits': ('.png', lambda labels, path: write_png(labels, path, 2)),
    'grey of 4 bits': ('.png', write_png),
    'grey of 16 bits': _by_pillow(_grey(np.uint16)),
    'palette': _by_pillow(palette),
    'three equal channels': _by_pillow(lambda labels: Image.fromarray(channels(labels))),
    'three equal channels of 16 bits': _by_opencv(lambda labels: channels(labels.astype(np.uint16))),
    'equal channels and opaque alpha': _by_pillow(lambda labels: Image.fromarray(channels(labels)).convert('RGBA')),
    'grey and opaque alpha': _by_pillow(lambda labels: Image.fromarray(labels).convert('LA')),
    'TIFF': _by_pillow(_grey(np.uint8), '.tif', compression='tiff_lzw'),
    'TIFF of 16 bits': _by_pillow(_grey(np.uint16), '.TIFF'),
    'TIFF of 32 bits': _by_pillow(_grey(np.int32), '.tif'),
    'TIFF of floats': _by_pillow(_grey(np.float32), '.tif'),
    'TIFF of long floats': _by_opencv(lambda labels: labels.astype(np.float64), '.tif'),
    'TIFF of three equal channels': _by_pillow(lambda labels: Image.fromarray(channels(labels)), '.tif'),
    'TIFF of a palette': _by_pillow(palette, '.tif'),
    'BMP': _by_pillow(_grey(np.uint8), '.bmp'),
    'BMP of a palette': _by_pillow(palette, '.bmp'),
}
