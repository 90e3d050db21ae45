"""Pictures of what is predicted, drawn over the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .objects import Objects

#: How much of a colour there is over the image.
_COVER = 0.45
_MARGIN, _LINE = 4, 16


def draw_objects(
    picture: np.ndarray, objects: Objects, names: Sequence[str], colours: Sequence[Sequence[int]], scores: bool = True
) -> Image.Image:
    """Masks, boxes, names and scores, the best on top.

    Args:
        picture: (H, W, 3) uint8.
        names, colours: of the classes.
        scores: whether they are written, which true objects do not have.
    """
    pixels = picture.copy()
    order = objects.scores.argsort(kind='stable')
    masks = objects.masks or []
    for place in order if masks else ():
        mask = masks[place]
        height, width = mask.pixels.shape
        part = pixels[mask.top : mask.top + height, mask.left : mask.left + width]
        cover = _COVER * np.array(colours[objects.labels[place]])
        part[mask.pixels] = ((1 - _COVER) * part[mask.pixels] + cover).astype(np.uint8)
    drawn = Image.fromarray(pixels)
    draw, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=12)
    thick = max(1, round(min(drawn.size) / 300))
    for place in order:
        left, top, right, bottom = objects.boxes[place].tolist()
        colour = tuple(map(int, colours[objects.labels[place]]))
        draw.rectangle([left, top, max(left, right), max(top, bottom)], outline=colour, width=thick)
        text = names[objects.labels[place]] + (f' {objects.scores[place]:.2f}' if scores else '')
        corner = max(0.0, min(left, drawn.width - 1 - font.getlength(text))), max(0.0, top - _LINE)
        draw.rectangle(draw.textbbox(corner, text, font=font), fill=colour)
        draw.text(corner, text, fill='black' if sum(colour) > 380 else 'white', font=font)
    return drawn


def draw_labels(
    picture: np.ndarray, labels: np.ndarray, names: Sequence[str], colours: Sequence[Sequence[int]]
) -> Image.Image:
    """A label map over an image, with the names of its classes below.

    Args:
        picture: (H, W, 3) uint8.
        labels: (H, W), from 0; numbers that are no class are not coloured.
        names, colours: of the classes.
    """
    table = np.array(colours, np.float32)
    is_class = labels < len(table)
    pixels = picture.copy()
    pixels[is_class] = ((1 - _COVER) * pixels[is_class] + _COVER * table[labels[is_class]]).astype(np.uint8)
    found = np.unique(labels[is_class]).tolist()
    legend = _legend([(names[label], tuple(map(int, colours[label]))) for label in found], pixels.shape[1])
    sheet = Image.new('RGB', (max(pixels.shape[1], legend.width), pixels.shape[0] + legend.height), 'white')
    sheet.paste(Image.fromarray(pixels), (0, 0))
    sheet.paste(legend, (0, pixels.shape[0]))
    return sheet


def _legend(entries: Sequence[tuple[str, tuple[int, ...]]], width: int) -> Image.Image:
    """Names beside their colours, in lines of about ``width`` pixels."""
    font = ImageFont.load_default(size=12)
    places, left, top = list[tuple[int, int]](), _MARGIN, _MARGIN
    for name, _ in entries:
        length = 2 * _LINE + int(font.getlength(name))
        if left + length > width and left > _MARGIN:
            left, top = _MARGIN, top + _LINE
        places.append((left, top))
        left += length
    widest = max([x + 2 * _LINE + int(font.getlength(name)) for (x, _), (name, _) in zip(places, entries)], default=1)
    legend = Image.new('RGB', (max(width, widest), top + _LINE + _MARGIN), 'white')
    draw = ImageDraw.Draw(legend)
    for (x, y), (name, colour) in zip(places, entries):
        draw.rectangle([x, y + 2, x + 11, y + 13], fill=colour)
        draw.text((x + _LINE, y), name, fill='black', font=font)
    return legend
