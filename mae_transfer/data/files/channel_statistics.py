"""Mean, standard deviation and range of each channel, over any number of images, in one pass."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np


class ChannelStatistics:
    """Statistics of the pixels of all images that were added, in float64.

    The sums of squares are those of the distances to each image's mean, merged as by Chan, Golub and LeVeque (1979):
    no precision is lost where a deviation is small against its mean.

    Attributes:
        images: the number of images.
        pixels: the number of pixels.
        mean, std, least, greatest: of each channel, (C,); std is that of the population.
    """

    def __init__(self) -> None:
        self.images = self.pixels = 0
        self.mean = self.squares = self.least = self.greatest = np.zeros(0)

    def add(self, image: np.ndarray) -> None:
        """Add the pixels of an image, (..., C); one without pixels is not counted."""
        values = image.reshape(-1, image.shape[-1]).astype(np.float64)
        if not len(values):
            return
        mean = values.mean(0)
        squares = ((values - mean) ** 2).sum(0)
        least, greatest = values.min(0), values.max(0)
        if not self.pixels:
            self.mean, self.squares, self.least, self.greatest = mean, squares, least, greatest
        else:
            total, step = self.pixels + len(values), mean - self.mean
            self.squares = self.squares + squares + step**2 * (self.pixels * len(values) / total)
            self.mean = self.mean + step * (len(values) / total)
            self.least, self.greatest = np.minimum(self.least, least), np.maximum(self.greatest, greatest)
        self.images, self.pixels = self.images + 1, self.pixels + len(values)

    @property
    def std(self) -> np.ndarray:
        """The standard deviation of each channel; exactly 0 where all values are equal."""
        std = np.sqrt(self.squares / max(1, self.pixels))
        return np.where(self.least == self.greatest, 0.0, std)

    def settings(self) -> tuple[str, str]:
        """``mean`` and ``std`` as Python's tuples, to six digits of the deviation."""
        decimals = [5 - math.floor(math.log10(std)) if std > 0 else 6 for std in self.std]
        return as_tuple(map(_rounded, self.mean, decimals)), as_tuple(map(_rounded, self.std, decimals))


def as_tuple(values: Iterable[float]) -> str:
    """Numbers as Python writes a tuple of them."""
    return str(tuple(values))


def _rounded(value: float, decimals: int) -> float:
    return float(round(float(value), max(0, decimals)))
