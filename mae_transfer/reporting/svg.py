"""The parts of which plots are drawn, as SVG elements for a page that stands alone: text stays text, and both bright
and dark pages can show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from matplotlib.ticker import LogLocator, MaxNLocator

#: Okabe and Ito's colours, which colour-blind readers tell apart; blue and green are brighter, for dark pages.
COLOURS = ('#3288d1', '#e08a00', '#0fa97f', '#cc6fa6', '#d55e00', '#56b4e9', '#8d7fd6', '#9a8c00')
WIDTH = 560
#: The mean width of a letter or digit of 12 pixels.
LETTER = 6.8


def limits_of(values: Sequence[float], log: bool = False) -> tuple[float, float]:
    """The limits of an axis on which all values are."""
    low, high = min(values), max(values)
    if log:
        return (low / 1.2, high * 1.2) if high > low else (low / 2, high * 2)
    if high == low:
        margin = abs(low) / 10
        return (low - margin, high + margin) if margin else (0.0, 1.0)
    margin = (high - low) / 25
    # A scale that begins just below or above zero begins at zero: shares and rates have no negative values.
    return (0.0 if 0 <= low < margin else low - margin), (0.0 if -margin < high <= 0 else high + margin)


class Scale:
    """From values to coordinates of the drawing."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool = False) -> None:
        self.log, self.start, self.end = log, start, end
        self.low, self.high = self._value(low), self._value(high)

    def __call__(self, value: float) -> float:
        return self.start + (self._value(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def _value(self, value: float) -> float:
        return math.log10(value) if self.log else value


def ticks(low: float, high: float, count: int, log: bool = False) -> list[float]:
    """About so many round numbers within limits."""
    if log:
        found = [float(tick) for tick in LogLocator(numticks=count).tick_values(low, high) if low <= tick <= high]
        if len(found) > 1:
            return found
    found = [float(tick) for tick in MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]
    return [tick for tick in found if low <= tick <= high]


def tick_label(tick: float) -> str:
    """A number beside an axis."""
    if tick and abs(tick) < 1e-3:
        return f'{tick:.3g}'
    return f'{round(tick, 10):,.10g}'


def grid_line(x1: float, y1: float, x2: float, y2: float) -> str:
    """A faint line between two points."""
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="currentColor" stroke-opacity=".16"/>'


def text(x: float, y: float, words: str, anchor: str, more: str = '') -> str:
    """Words whose ``anchor`` ('start', 'middle' or 'end') is at a point; ``more`` are attributes of the element."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def svg(label: str, content: str, height: int, more: str = '') -> str:
    """An ``<svg>`` element :data:`WIDTH` wide; ``more`` are attributes of it."""
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'fill="currentColor" font-family="system-ui, sans-serif" font-size="12"{more}>{content}</svg>'
    )
