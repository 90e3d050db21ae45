"""Image files of every form that an ``ImageReader`` reads, written from arrays (H, W, C)."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image


def values(dtype: str, channels: int, size: tuple[int, int] = (19, 18), seed: int = 0) -> np.ndarray:
    """Random values over the whole range of a type, (height, width, channels)."""
    rng, shape, kind = np.random.default_rng(seed), (*size, channels), np.dtype(dtype)
    if kind.kind == 'f':
        return rng.normal(0, 1000, shape).astype(kind)
    if kind.kind == 'b':
        return rng.random(shape) > 0.5
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, kind.newbyteorder('='), endpoint=True).astype(kind)


def tiff(path: Path, array: np.ndarray, layout: str = 'contig', **settings) -> Path:
    """A TIFF: 'contig' (bands of a pixel together), 'separate' (band by band) or 'pages' (a page for each band)."""
    if layout == 'pages':
        byteorder = settings.pop('byteorder', None)
        with tifffile.TiffWriter(path, byteorder=byteorder) as file:
            for band in range(array.shape[2]):
                file.write(array[..., band], photometric='minisblack', **settings)
        return path
    if array.shape[2] == 1:
        tifffile.imwrite(path, array[..., 0], photometric='minisblack', **settings)
        return path
    array = array if layout == 'contig' else np.moveaxis(array, 2, 0)
    tifffile.imwrite(path, array, photometric='minisblack', planarconfig=layout, metadata=None, **settings)
    return path


def by_opencv(path: Path, array: np.ndarray) -> Path:
    """PNG, PPM, PGM and JPEG 2000 (without loss), 8 and 16 bits."""
    channels = array.shape[2]
    array = array[..., [2, 1, 0, 3][:channels]] if channels > 1 else array
    lossless = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if path.suffix == '.jp2' else []
    assert cv2.imwrite(str(path), array, lossless)
    return path


def npy(path: Path, array: np.ndarray, layout: str = 'last') -> Path:
    """An array file: 'last' (H, W, C), 'first' (C, H, W), 'fortran' (H, W, C), 'grey' (H, W)."""
    arrays = dict(last=array, fortran=np.asfortranarray(array), grey=array[..., 0])
    np.save(path, np.moveaxis(array, 2, 0) if layout == 'first' else arrays[layout])
    return path


def content(write: Callable, *arguments, **settings) -> bytes:
    """What a function writes into the stream that is its first argument."""
    stream = io.BytesIO()
    write(stream, *arguments, **settings)
    return stream.getvalue()


def pillow(path: Path, array: np.ndarray, mode: str, **settings) -> Path:
    """An image of a mode of Pillow's."""
    Image.fromarray(array).convert(mode).save(path, **settings)
    return path
