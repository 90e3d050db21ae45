"""Settings that Pillow and tifffile have once for the whole process, set for as long as we read and then put back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, PngImagePlugin


@contextmanager
def decoding_up_to(most: int | None) -> Iterator[None]:
    """Let Pillow decode images of up to ``most`` pixels; None for no limit."""
    before = Image.MAX_IMAGE_PIXELS
    # Pillow warns above its number, and raises at twice that.
    Image.MAX_IMAGE_PIXELS = None if most is None else most / 2  # type: ignore[assignment]
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def long_png_notes() -> Iterator[None]:
    """Let profiles and notes in a PNG be as large as all of them together may be, instead of Pillow's 1 MB for each."""
    before = PngImagePlugin.MAX_TEXT_CHUNK
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
    try:
        yield
    finally:
        PngImagePlugin.MAX_TEXT_CHUNK = before


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """Keep tifffile from logging each fault of a damaged file, which is one error or one name of a file here."""
    logger = logging.getLogger('tifffile')
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
