"""Pictures of images of any number of channels: chosen bands, stretched to black and white."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.files.bands import Bands, resolve_bands
from ..errors import UserError

#: The percentiles of a channel that become black and white: a few extreme pixels do not darken the rest.
BLACK, WHITE = 2, 98


class ShownBands(NamedTuple):
    """Which bands a picture shows: one in grey, or three as red, green and blue.

    Attributes:
        numbers: of the bands in the files, counted from 1.
        places: of these bands among the channels of an image, counted from 0.
    """

    numbers: tuple[int, ...]
    places: tuple[int, ...]

    def stretch(self, image: np.ndarray) -> Stretch:
        """The stretch that suits an image (H, W, C) with the values of the files."""
        chosen = image[..., self.places].reshape(-1, len(self.places)).astype(np.float64)
        black, white = np.percentile(chosen, (BLACK, WHITE), axis=0)
        return Stretch(self, black, white)


class Stretch(NamedTuple):
    """How an image is shown: its bands, and which of their values are black and white.

    Attributes:
        shown: the bands.
        black, white: a value for each of them.
    """

    shown: ShownBands
    black: np.ndarray
    white: np.ndarray

    def picture(self, image: np.ndarray) -> np.ndarray:
        """An image (H, W, C) with the values of the files as (H, W, 3) uint8."""
        span = np.where(self.white > self.black, self.white - self.black, 1.0)
        chosen = (image[..., self.shown.places] - self.black) / span
        picture = (chosen.clip(0, 1) * 255).round().astype(np.uint8)
        return picture if picture.shape[2] == 3 else picture.repeat(3, 2)

    def caption(self) -> str:
        """A line that says what the picture shows."""
        black, white = (', '.join(f'{value:.4g}' for value in values) for values in (self.black, self.white))
        bands = 'bands ' if len(self.shown.numbers) > 1 else 'band '
        return f'{bands}{", ".join(map(str, self.shown.numbers))}: black {black}, white {white}'


def shown_bands(bands: Bands, chosen: Bands | None = None) -> ShownBands | None:
    """Which bands pictures show; None for 'RGB' and 'L', which are shown as they are.

    Args:
        bands: those that the model sees.
        chosen: one or three of them, by their numbers in the files; by default the first three, or the first where
            there are fewer.

    Raises:
        UserError: bands that the model does not see, or another number of them.
    """
    bands = resolve_bands(bands)
    if isinstance(bands, str):
        if chosen is not None:
            raise UserError(f'bands={bands!r} are shown as they are: leave bands_shown out; found {chosen!r}')
        return None
    numbers = resolve_bands(chosen) if chosen is not None else bands[: 3 if len(bands) >= 3 else 1]
    if isinstance(numbers, str) or len(numbers) not in (1, 3) or not set(numbers) <= set(bands):
        raise UserError(
            f'bands_shown is one or three of bands={bands}, by their numbers in the files; found {chosen!r}'
        )
    return ShownBands(numbers, tuple(bands.index(number) for number in numbers))


def shown_of(dataset: Any, channels: int, chosen: Bands | None = None) -> ShownBands | None:
    """Which bands pictures of a data set's images show; see :func:`shown_bands`.

    Args:
        dataset: one with a ``reader``, or a wrapper of such; others are taken to have 'RGB' or grey images, or bands
            1, 2, ... where there are other numbers of channels.
        channels: of its images.
        chosen: as for :func:`shown_bands`.
    """
    while not hasattr(dataset, 'reader'):
        inner = getattr(dataset, 'dataset', None) or next(iter(getattr(dataset, 'datasets', ())), None)
        if inner is None:
            return shown_bands('RGB' if channels in (1, 3) else range(1, channels + 1), chosen)
        dataset = inner
    return shown_bands(dataset.reader.bands, chosen)


def with_captions(rows: Sequence[np.ndarray], captions: Sequence[str], margin: int) -> np.ndarray:
    """Pictures below each other, each with a line of text below it, on white.

    Args:
        rows: (h, w, 3) uint8 each.
        captions: a line for each.
        margin: pixels between a picture and what follows.

    Returns:
        (height, width, 3) uint8; as wide as the widest picture or line.
    """
    font = ImageFont.load_default(size=11)
    boxes = [font.getbbox(caption) for caption in captions]
    width = max(max(row.shape[1] for row in rows), *(int(box[2]) + 1 for box in boxes))
    heights = [row.shape[0] + margin + int(box[3]) + margin for row, box in zip(rows, boxes)]
    sheet = Image.new('RGB', (width, sum(heights)), 'white')
    draw, top = ImageDraw.Draw(sheet), 0
    for row, caption, height in zip(rows, captions, heights):
        sheet.paste(Image.fromarray(row), (0, top))
        draw.text((0, top + row.shape[0] + margin), caption, fill='black', font=font)
        top += height
    return np.asarray(sheet)
