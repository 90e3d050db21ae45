"""Pictures beside each other, each with a title."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: The longer side of a photo in a picture of several, in pixels.
SIDE = 320
_GAP, _TITLE, _SIZE = 6, 20, 13


def side_by_side(panels: Sequence[Image.Image], titles: Sequence[str]) -> np.ndarray:
    """Put pictures in a row on white, each below its title.

    Returns:
        (height, width, 3) uint8.
    """
    font = ImageFont.load_default(size=_SIZE)
    widths = [max(panel.width, round(font.getlength(title)) + 1) for panel, title in zip(panels, titles)]
    height = _TITLE + max(panel.height for panel in panels)
    sheet = Image.new('RGB', (sum(widths) + _GAP * (len(panels) - 1), height), 'white')
    draw, left = ImageDraw.Draw(sheet), 0
    for panel, title, width in zip(panels, titles, widths):
        draw.text((left, 1), title, fill='black', font=font)
        sheet.paste(panel, (left, _TITLE))
        left += width + _GAP
    return np.asarray(sheet)


def scale_of(picture: np.ndarray, side: int = SIDE) -> float:
    """By how much a picture (H, W, 3) is enlarged, or made smaller, so that its longer side has ``side`` pixels."""
    return side / max(picture.shape[:2])


def scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    """A picture (H, W, 3) uint8, or a map (H, W) of labels, at another size; labels are not mixed."""
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = Image.Resampling.NEAREST if picture.ndim == 2 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize(size, how))
