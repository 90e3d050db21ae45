"""The confusion matrix of a classifier as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

MOST_NAMES = 60  # classes of which the names are written
LONGEST_NAME = 24  # letters
NO_IMAGES = 211  # light grey
DPI = 64  # a power of two, so that converting pixels to inches and back is exact
FONT = 11  # height of the font, in pixels
LETTER = 0.61 * FONT  # width of a letter of the monospaced font, in pixels


def confusion_picture(confusion: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Draw a confusion matrix; each row is normalised to shares of its class, from dark (none) to bright (all).

    Args:
        confusion: (C, C) number of images by true (row) and predicted (column) label.
        classes: C names, written next to the rows and columns if there are at most 60; otherwise labels are.

    Returns:
        (height, width, 3) uint8: a square of pixels, at least one, for each cell, in label order, with rows of classes
        without images in grey; a colour bar; below, the three confusions with the largest shares.
    """
    confusion, count = np.asarray(confusion), len(classes)
    named = count <= MOST_NAMES
    cell = max(18, -(-400 // count)) if named else -(-800 // count)  # side of a cell; -(-a // b) rounds up
    names = [_short(name) for name in classes] if named else [str(count)]
    captions = _largest_confusions(confusion, classes)
    # All in pixels: the space for names left of the matrix, the space below it, the side of the matrix.
    left = round(max(map(len, names)) * LETTER) + 3 * FONT
    below = left + (len(captions) + 1) * 2 * FONT
    side = count * cell
    width = max(left + side + 9 * FONT, round(max(map(len, captions)) * LETTER) + 2 * FONT)
    height = 2 * FONT + side + below

    figure = Figure((width / DPI, height / DPI), DPI)
    canvas = FigureCanvasAgg(figure)
    text: dict[str, Any] = dict(family='monospace', fontsize=FONT * 72 / DPI, parse_math=False)
    heat = figure.add_axes((left / width, below / height, side / width, side / height))
    heat.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
    if named:
        heat.set_xticks(range(count), names, rotation=90, **text)
        heat.set_yticks(range(count), names, **text)
    else:
        ticks = [tick for tick in heat.get_xticks().astype(int) if 0 <= tick < count]
        heat.set_xticks(ticks, map(str, ticks), rotation=90, **text)
        heat.set_yticks(ticks, map(str, ticks), **text)
    heat.tick_params(length=3)
    heat.spines[:].set_visible(False)

    bar = figure.add_axes(((left + side + FONT) / width, below / height, FONT / width, side / height))
    figure.colorbar(ScalarMappable(Normalize(0, 100), 'viridis'), bar)
    bar.set_yticks(range(0, 101, 20), [f'{share} %' for share in range(0, 101, 20)], **text)
    title = 'rows: true class; columns: predicted class'
    figure.text((left + side / 2) / width, 1 - FONT / height, title, ha='center', va='center', **text)
    for line, caption in enumerate(reversed(captions)):
        figure.text(FONT / width, (line + 0.75) * 2 * FONT / height, caption, va='center', **text)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    # Not drawn by Matplotlib, so that cells have exact pixels, and thousands of classes need little memory.
    picture[2 * FONT : 2 * FONT + side, left : left + side] = _colours(confusion).repeat(cell, 0).repeat(cell, 1)
    return picture


def _colours(confusion: np.ndarray) -> np.ndarray:
    """The colour of each cell, (C, C, 3) uint8."""
    images = confusion.sum(1, keepdims=True)
    colours = colormaps['viridis'](np.arange(256), bytes=True)[:, :3][confusion * 255 // np.maximum(images, 1)]
    colours[images[:, 0] == 0] = NO_IMAGES
    return colours


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'


def _largest_confusions(confusion: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    """A line for each of the three largest shares off the diagonal; of equal shares, those of more images."""
    images = confusion.sum(1)
    rows, columns = np.nonzero(confusion)
    rows, columns = rows[rows != columns], columns[rows != columns]
    wrong = confusion[rows, columns]
    shares = wrong / images[rows]
    largest = np.lexsort((-wrong, -shares))[:3]
    lines = []
    for i in largest:
        true, predicted = _short(classes[rows[i]]), _short(classes[columns[i]])
        lines.append(f'{100 * shares[i]:.1f} % of {true} classified as {predicted} ({wrong[i]} of {images[rows[i]]})')
    return lines or ['no image is classified as another class']
