"""The results of several runs of each row of a table, as SVG: every run and the mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import mean

from .svg import COLOURS, LETTER, WIDTH, Scale, grid_line, limits_of, svg, text, tick_label, ticks

_ROW, _TOP, _BOTTOM, _RIGHT = 30, 10, 44, 18
_MOST_LETTERS = 34  # of the name of a row


def strip_plot(rows: Mapping[str, Sequence[float]], x: str) -> str:
    """Draw a dot for each run, and a bar at the mean of each row that has several.

    Args:
        rows: finite values by the name of their row; one at least.
        x: title of the axis.

    Returns:
        An ``<svg>`` element.
    """
    names = {name: name if len(name) <= _MOST_LETTERS else f'{name[: _MOST_LETTERS - 1]}…' for name in rows}
    left = round(12 + LETTER * max(map(len, names.values())))
    bottom = _TOP + _ROW * len(rows)
    low, high = limits_of([value for values in rows.values() for value in values])
    scale = Scale(low, high, left, WIDTH - _RIGHT)
    parts = []
    for tick in ticks(low, high, 6):
        at = scale(tick)
        parts += [grid_line(at, _TOP, at, bottom), text(at, bottom + 16, tick_label(tick), 'middle')]
    parts.append(text((left + WIDTH - _RIGHT) / 2, bottom + _BOTTOM - 8, x, 'middle'))
    for number, (name, values) in enumerate(rows.items()):
        middle, colour = _TOP + _ROW * (number + 0.5), COLOURS[number % len(COLOURS)]
        parts += [grid_line(left, middle, WIDTH - _RIGHT, middle), text(left - 8, middle + 4, names[name], 'end')]
        parts.append(f'<g data-row="{escape(name)}" fill="{colour}">')
        if len(values) > 1:
            at = scale(mean(values))
            parts.append(f'<path d="M{at:.2f} {middle - 11:g}v22" stroke="{colour}" stroke-width="3"/>')
        for value in values:
            place = f'cx="{scale(value):.2f}" cy="{middle:g}"'
            parts.append(f'<circle {place} r="4.5" fill-opacity=".7"><title>{value:.4g}</title></circle>')
        parts.append('</g>')
    return svg(f'{x} of each run: {", ".join(rows)}', ''.join(parts), bottom + _BOTTOM)
