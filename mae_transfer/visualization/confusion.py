"""What a classifier takes for what, as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

MOST_NAMES = 60
LONGEST_NAME = 24
NO_IMAGES = 211  # light grey
DPI = 64  # a power of two: pixels over DPI and back are exact
FONT = 11  # pixels
LETTER = 0.61 * FONT  # width of a letter of the monospaced font


def confusion_picture(confusion: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """Each class's images by what they were predicted as, as shares of the class, from dark (none) to bright (all).

    Args:
        confusion: (C, C) images by true (row) and predicted (column) label.
        classes: C names; written beside the rows and columns where there are at most 60, else labels are counted.

    Returns:
        (height, width, 3) uint8: a square of pixels for each cell, one at least, in the order of the labels, rows of
        classes without images in grey; a colour bar; below, the three confusions with the largest shares.
    """
    confusion, count = np.asarray(confusion), len(classes)
    named = count <= MOST_NAMES
    cell = max(18, -(-400 // count)) if named else -(-800 // count)
    names = [_short(name) for name in classes] if named else [str(count)]
    beside = round(max(map(len, names)) * LETTER) + 3 * FONT
    captions = _largest_confusions(confusion, classes)
    below = beside + (len(captions) + 1) * 2 * FONT
    side = count * cell
    width = max(beside + side + 9 * FONT, round(max(map(len, captions)) * LETTER) + 2 * FONT)
    height = 2 * FONT + side + below

    figure = Figure((width / DPI, height / DPI), DPI)
    canvas = FigureCanvasAgg(figure)
    text = dict(family='monospace', fontsize=FONT * 72 / DPI, parse_math=False)
    heat = figure.add_axes((beside / width, below / height, side / width, side / height))
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

    bar = figure.add_axes(((beside + side + FONT) / width, below / height, FONT / width, side / height))
    figure.colorbar(ScalarMappable(Normalize(0, 100), 'viridis'), bar)
    bar.set_yticks(range(0, 101, 20), [f'{share} %' for share in range(0, 101, 20)], **text)
    figure.text(
        (beside + side / 2) / width,
        1 - FONT / height,
        'rows: the true class; columns: what it is taken for',
        ha='center',
        va='center',
        **text,
    )
    for line, caption in enumerate(reversed(captions)):
        figure.text(FONT / width, (line + 0.75) * 2 * FONT / height, caption, va='center', **text)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    # Put in by hand: every cell has its own pixels, and thousands of classes need little memory.
    picture[2 * FONT : 2 * FONT + side, beside : beside + side] = _colours(confusion).repeat(cell, 0).repeat(cell, 1)
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
    """A line for each of the three largest shares off the diagonal; of equal shares, that of more images."""
    images = confusion.sum(1)
    rows, columns = np.nonzero(confusion)
    rows, columns = rows[rows != columns], columns[rows != columns]
    wrong = confusion[rows, columns]
    shares = wrong / images[rows]
    largest = np.lexsort((-wrong, -shares))[:3]
    lines = [
        f'{100 * shares[i]:.1f} % of {_short(classes[rows[i]])} taken for {_short(classes[columns[i]])} '
        f'({wrong[i]} of {images[rows[i]]})'
        for i in largest
    ]
    return lines or ['no image is taken for another class']
