"""Pictures inside a page, as large as all of them together may be."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import UserError
from ..paths import shown

#: How pictures are stored, the first way that is small enough: the most pixels of a side, and JPEG's quality.
_WAYS = ((1400, 88), (1000, 82), (760, 76), (560, 70))


class Embedded(NamedTuple):
    """A picture that a page holds: its address, and its size in pixels."""

    address: str
    width: int
    height: int


def read_picture(path: Path) -> np.ndarray:
    """(height, width, 3) uint8 of a picture that a run left; raises ``UserError``."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert('RGB'))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f'{shown(path)} cannot be read ({error}): remove it to report the run without it') from error


def embedded(pictures: Sequence[np.ndarray], most: int) -> list[Embedded | None]:
    """Pictures as data URIs that have at most ``most`` characters together.

    They are stored smaller where there are many. If even the smallest are too large, the last ones are left out.

    Args:
        pictures: each (height, width, 3) uint8.

    Returns:
        As many, in their order; None for what is left out.
    """
    found: list[Embedded] = []
    for side, quality in _WAYS:
        found = [_embed(picture, side, quality) for picture in pictures]
        if sum(len(one.address) for one in found) <= most:
            return [*found]
    kept: list[Embedded | None] = []
    for one in found:
        most -= len(one.address)
        kept.append(one if most >= 0 else None)
    return kept


def _embed(values: np.ndarray, side: int, quality: int) -> Embedded:
    picture = Image.fromarray(values)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, 'JPEG', quality=quality, optimize=True)
    address = f'data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}'
    return Embedded(address, picture.width, picture.height)
