"""Image files that do not exist, cannot be read or have other values than the pipeline reads, told in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.fileio import get

from ...errors import UserError
from .bands import MEASURE, channel_count
from .image_files import conversion_of
from .image_reader import UNREADABLE, ImageReader
from .image_values import UnexpectedValues
from .load_bands import LoadBands
from .unreadable import UnreadableError, told_by

_JPEG = b'\xff\xd8'  # always 8 bits; no need to look at the rest


def reader_of(pipeline: Any) -> ImageReader | None:
    """What reads images as the loader of a pipeline does: its bands and EXIF orientation; None without a loader.

    Args:
        pipeline: a composition of transforms (``transforms``).
    """
    for transform in pipeline.transforms:
        if isinstance(transform, LoadBands):
            return transform.reader
        if isinstance(transform, LoadImageFromFile):
            colour, _, ignored = transform.color_type.partition('_')
            if colour in ('color', 'grayscale'):
                return ImageReader('RGB' if colour == 'color' else 'L', exif_orientation=not ignored)
    return None


def steps_of(step: Any) -> Iterator[Any]:
    """A transform, and those within it."""
    yield step
    for name in ('transforms', 'subroutines'):
        inner = getattr(step, name, ())
        for child in inner if isinstance(inner, (list, tuple)) else (inner,):
            yield from steps_of(child)


def refuse_colour_transforms(pipeline: Any, kinds: tuple[type, ...]) -> None:
    """Refuse transforms of 8-bit colours where a pipeline reads other bands: they would cut values, or mix bands.

    Args:
        kinds: the classes of these transforms. One of another class that fills holes needs a value for each channel.

    Raises:
        UserError: there is one.
    """
    reader = reader_of(pipeline)
    if reader is None or reader.bands == 'RGB':
        return
    for step in steps_of(pipeline):
        name = type(step).__name__
        if isinstance(step, kinds):
            raise UserError(
                f"the pipeline has {name}, which is for bands='RGB', but bands are {reader.bands}: leave it out"
            )
        filling, channels = getattr(step, 'fill_in', None), channel_count(reader.bands)
        if isinstance(filling, (list, tuple)) and len(filling) != channels:
            zeros = f'({", ".join("0" * channels)}{"," * (channels == 1)})'
            raise UserError(
                f'the pipeline has {name} with fill_in of {len(filling)} values, for images of {channels} channels: '
                f'give one for each, e.g. fill_in={zeros}'
            )


def examine_images(pipeline: Any, paths: Sequence[str]) -> None:
    """Look at the headers of some image files.

    Raises:
        UserError: one with other values than the loader of the pipeline reads.
    """
    reader = reader_of(pipeline)
    if reader is not None and not any('://' in path for path in paths):
        reader.examine([Path(path) for path in paths])


def run_pipeline(pipeline: Callable[[dict], dict | None], entry: dict, path: str) -> dict | None:
    """``pipeline(entry)``.

    Raises:
        UnreadableError: the image at ``path`` cannot be read, or has other values than the pipeline reads; other errors
            are raised unchanged.
    """
    reader = reader_of(pipeline)
    try:
        _check_values(reader, path)
        return pipeline(entry)
    except UserError:
        raise
    except UnexpectedValues as error:
        raise UnreadableError(path, str(error)) from None
    except Exception as error:
        if (reason := decoding_fault(path)) is not None:
            if conversion := conversion_of(path):
                raise UnreadableError(path, 'is not read', conversion) from error
            raise UnreadableError(path, reason, 'repair it, or remove it from the annotations') from error
        if _is_by_opencv(pipeline) and not _opencv_decodes(get(path)):
            raise UnreadableError(
                path,
                'is not read by OpenCV, which reads the images of this pipeline',
                f'save it as a PNG, or set bands=(1,2,3), and mean and std as {MEASURE} prints them',
            ) from error
        raise


def _check_values(reader: ImageReader | None, path: str) -> None:
    """OpenCV cuts 16-bit values and drops bands, so the header is looked at before.

    Raises:
        UnexpectedValues: other values than the settings say.
    """
    if reader is None or reader.mode is None or '://' in path:
        return
    with open(path, 'rb') as file:
        if file.read(2) == _JPEG:
            return
    try:
        reader.examine_file(Path(path))
    except UnexpectedValues:
        raise
    except UNREADABLE:  # by Pillow; OpenCV may still read it
        return


def _is_by_opencv(pipeline: Any) -> bool:
    loaders = [transform for transform in pipeline.transforms if isinstance(transform, LoadImageFromFile)]
    return bool(loaders) and not isinstance(loaders[0], LoadBands)


def decoding_fault(path: str) -> str | None:
    """The reason why the image at ``path`` cannot be read; None if it can."""
    try:
        content = get(path)
    except OSError as error:
        return f'cannot be read ({error.strerror or error})'
    if not content:
        return 'is empty (0 bytes)'
    try:
        if mmcv.imfrombytes(content, flag='unchanged') is not None:
            return None
    except Exception as error:  # OpenCV's errors have no common base
        if 'CV_IO_MAX_IMAGE' in str(error):
            return 'has more pixels than OpenCV reads (the environment variable OPENCV_IO_MAX_IMAGE_PIXELS sets this)'
    if _is_decoded(content):
        return None
    return told_by(content[:64]) or f'is not an image, or is truncated ({len(content)} bytes)'


def _is_decoded(content: bytes) -> bool:
    """Whether our own reader decodes an image file."""
    try:
        ImageReader((1,))(content)
    except UnexpectedValues:
        return True
    except UNREADABLE:
        return False
    return True


def _opencv_decodes(content: bytes) -> bool:
    try:
        return mmcv.imfrombytes(content, flag='unchanged') is not None
    except Exception:  # OpenCV's errors have no common base
        return False


def check_files(
    paths: Sequence[str], message: Callable[[int], str], exists: Callable[[str], bool], most: int = 64
) -> None:
    """Check that some of the files exist: evenly spaced ones, the first and the last included.

    That reveals a wrong folder at once, without asking a network disk for all of COCO's 118 000 images.

    Args:
        paths: of the files.
        message: the error message for a missing file, given its index.
        exists: whether a file exists, given its path.
        most: the greatest number of files to look for.

    Raises:
        UserError: one of them does not exist.
    """
    chosen = sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(most, len(paths)))})
    missing = [i for i in chosen if not exists(paths[i])]
    if missing:
        raise UserError(f'{message(missing[0])} ({len(missing)} of {len(chosen)} checked files are missing)')
