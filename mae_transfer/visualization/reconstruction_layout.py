"""Pictures placed in a grid, with headings above and lines of text below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Height of the letters, and of a line of text, in pixels.
LETTERS, LINE = 11, 14
#: Text below a narrow sheet is wrapped at this width.
LEAST_WIDTH = 360


def placed(rows: Sequence[Sequence[np.ndarray]], row_gap: int, column_gap: int) -> np.ndarray:
    """Pictures (h, w, 3) uint8 in rows, on white.

    A row is as high as its highest picture, a column as wide as its widest; pictures stand at the foot of their row.

    Args:
        rows: of pictures; a row may be shorter than others.
        row_gap, column_gap: white pixels between them.
    """
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    count = max(map(len, rows))
    widths = [max(row[place].shape[1] for row in rows if place < len(row)) for place in range(count)]
    shape = (sum(heights) + row_gap * (len(rows) - 1), sum(widths) + column_gap * (count - 1), 3)
    sheet, foot = np.full(shape, 255, np.uint8), 0
    for row, height in zip(rows, heights):
        foot, left = foot + height, 0
        for picture, width in zip(row, widths):
            sheet[foot - picture.shape[0] : foot, left : left + picture.shape[1]] = picture
            left += width + column_gap
        foot += row_gap
    return sheet


def with_headings(block: np.ndarray, headings: Sequence[str], margin: int) -> np.ndarray:
    """A block of pictures with a line of text, or several, centred above each of its columns of equal width."""
    height = LINE * max(heading.count('\n') + 1 for heading in headings) + margin
    pitch = (block.shape[1] + margin) / len(headings)
    top = Image.new('RGB', (block.shape[1], height), 'white')
    draw, font = ImageDraw.Draw(top), ImageFont.load_default(size=LETTERS)
    for place, heading in enumerate(headings):
        middle = (place + 0.5) * pitch - margin / 2
        draw.text((middle, height - margin), heading, fill='black', font=font, anchor='md', align='center')
    return np.concatenate([np.asarray(top), block])


def with_lines(sheet: np.ndarray, lines: Sequence[str], margin: int = 4) -> np.ndarray:
    """A sheet with lines of text below it, each wrapped between words to the width of the sheet."""
    font = ImageFont.load_default(size=LETTERS)
    width = max(sheet.shape[1], LEAST_WIDTH)
    wrapped = [part for line in lines for part in _wrapped(line, width - margin, font)]
    below = Image.new('RGB', (width, margin + LINE * len(wrapped) + margin), 'white')
    draw = ImageDraw.Draw(below)
    for number, line in enumerate(wrapped):
        draw.text((0, margin + LINE * number), line, fill='black', font=font)
    return placed([[sheet], [np.asarray(below)]], 0, 0)


def _wrapped(line: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    found, current = list[str](), ''
    for word in line.split():
        longer = f'{current} {word}' if current.strip() else current + word
        if current.strip() and font.getlength(longer) > width:
            found.append(current)
            current = f'    {word}'  # continues the line above
        else:
            current = longer
    return [*found, current]
