"""Pictures on the page: enlarged, with the lines between patches, a chosen patch or heat."""

from __future__ import annotations

import matplotlib
import numpy as np

#: Pixels that the longer side of a picture has at least: small crops are enlarged, and their pixels stay sharp.
SIDE = 448
_LINE, _FRAME = np.array([255, 255, 255]), np.array([255, 64, 32])


def enlarged(picture: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A picture (h, w, 3) uint8, each pixel repeated so that the longer side is near ``side``, or above."""
    factor = max(1, round(side / max(picture.shape[:2])))
    return picture.repeat(factor, 0).repeat(factor, 1)


def with_lines(picture: np.ndarray, grid: tuple[int, int], strength: float = 0.35) -> np.ndarray:
    """A picture (h, w, 3) uint8 with faint lines between its patches; ``grid``: their (rows, columns)."""
    result = picture.astype(np.float64)
    height, width = picture.shape[:2]
    rows = np.arange(1, grid[0]) * height // grid[0]
    columns = np.arange(1, grid[1]) * width // grid[1]
    is_line = np.zeros((height, width), bool)
    is_line[rows], is_line[:, columns] = True, True
    result[is_line] += strength * (_LINE - result[is_line])
    return result.round().astype(np.uint8)


def with_frame(picture: np.ndarray, grid: tuple[int, int], patch: int, thickness: int = 3) -> np.ndarray:
    """A picture (h, w, 3) uint8 with a frame around a patch of the ``grid`` (rows, columns)."""
    result = picture.copy()
    height, width = picture.shape[0] // grid[0], picture.shape[1] // grid[1]
    top, left = patch // grid[1] * height, patch % grid[1] * width
    part = result[top : top + height, left : left + width]
    part[:thickness], part[-thickness:], part[:, :thickness], part[:, -thickness:] = (_FRAME,) * 4
    return result


def with_heat(picture: np.ndarray, heat: np.ndarray, opacity: float = 0.7) -> np.ndarray:
    """A picture (h, w, 3) uint8 in grey, below the colours of a map.

    Args:
        heat: (rows, columns) of patches, 0 or more; its largest value becomes the brightest colour, 0 the darkest.
    """
    largest = heat.max()
    colours = matplotlib.colormaps['inferno'](heat / largest if largest > 0 else heat)[..., :3] * 255
    rows, columns = picture.shape[0] // heat.shape[0], picture.shape[1] // heat.shape[1]
    grey = picture.mean(2, keepdims=True)
    mixed = opacity * colours.repeat(rows, 0).repeat(columns, 1) + (1 - opacity) * grey
    return mixed.round().astype(np.uint8)
