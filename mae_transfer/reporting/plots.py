"""Lines over a number, such as the epoch, as SVG elements.

The elements carry what a page's script needs to tell the values below the pointer: the limits of the axes, and the
points of each series in the coordinates of the drawing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from .svg import COLOURS, LETTER, WIDTH, Scale, grid_line, limits_of, svg, text, tick_label, ticks

Points = Sequence[tuple[float, float]]

#: Points of a series that are drawn; of more, the lowest and highest of neighbours are kept.
MOST_POINTS = 300
_HEIGHT = 300
_RIGHT, _BOTTOM, _ROW = 14, 44, 17
_MARKED = 40  # series of so few points have them marked


def line_plot(
    series: Mapping[str, Points],
    x: str,
    y: str,
    *,
    log: bool = False,
    limits: tuple[tuple[float, float], tuple[float, float]] | None = None,
) -> str:
    """Draw lines.

    Args:
        series: (x, y) of each point by the name of its line, in the order of x. Points that are not finite, or with
            ``log`` not above zero, are left out, and the line has a gap.
        x, y: titles of the axes.
        log: whether the y axis is logarithmic.
        limits: of the x axis and of the y axis; None for those of the points.

    Returns:
        An ``<svg>`` element; of series without a point it says that there are none.
    """
    series = {name: [(float(a), float(b)) for a, b in points] for name, points in series.items()}
    every = [point for points in series.values() for point in points if _is_shown(point, log)]
    if not every:
        return _empty(x, y)
    (x_low, x_high), (y_low, y_high) = limits or (
        limits_of([point[0] for point in every]),
        limits_of([point[1] for point in every], log),
    )
    labels = {tick: tick_label(tick) for tick in ticks(y_low, y_high, 6, log)}
    left = round(34 + LETTER * max(map(len, labels.values()), default=0))
    rows = _legend_rows(list(series), left)
    top = 12 + _ROW * len(rows)
    scale_x = Scale(x_low, x_high, left, WIDTH - _RIGHT)
    scale_y = Scale(y_low, y_high, _HEIGHT - _BOTTOM, top, log)
    parts = [*_grid_x(x_low, x_high, scale_x, top), *_grid_y(labels, scale_y, left)]
    parts.append(text((left + WIDTH - _RIGHT) / 2, _HEIGHT - 8, x, 'middle'))
    middle = (top + _HEIGHT - _BOTTOM) / 2
    parts.append(text(14, middle, y, 'middle', f' transform="rotate(-90 14 {middle:g})"'))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        dashes = ' stroke-dasharray="5 3"' if number >= len(COLOURS) else ''
        parts.append(f'<g data-name="{escape(name)}" data-colour="{colour}">')
        for run in _runs(points, log):
            drawn = [(scale_x(a), scale_y(b)) for a, b in thinned(run)]
            path = ' '.join(f'{a:.2f},{b:.2f}' for a, b in drawn)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashes}/>')
            if len(drawn) <= _MARKED:
                parts += [f'<circle cx="{a:.2f}" cy="{b:.2f}" r="2.6" fill="{colour}"/>' for a, b in drawn]
        parts.append('</g>')
    parts += _legend(rows)
    box = f'data-box="{left} {top} {WIDTH - _RIGHT} {_HEIGHT - _BOTTOM}"'
    shown = f'data-x="{x_low!r} {x_high!r}" data-y="{y_low!r} {y_high!r}" data-log="{int(log)}"'
    label = f'{y} over {x}: {", ".join(series)}'
    return svg(label, ''.join(parts), _HEIGHT, f' {box} {shown} data-title="{escape(x)}"')


def thinned(points: Points, most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most ``most`` of the points: the lowest and the highest of each group of neighbours, so that peaks stay."""
    if len(points) <= most:
        return list(points)
    groups = max(1, (most - 2) // 2)
    kept = [points[0]]
    for number in range(groups):
        group = points[1 + number * (len(points) - 2) // groups : 1 + (number + 1) * (len(points) - 2) // groups]
        low, high = (choose(range(len(group)), key=lambda i: group[i][1]) for choose in (min, max))
        kept += [group[i] for i in sorted({low, high})]
    return [*kept, points[-1]]


def _is_shown(point: tuple[float, float], log: bool) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1]) and (point[1] > 0 or not log)


def _runs(points: Points, log: bool) -> list[list[tuple[float, float]]]:
    """Points that follow each other without a gap."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if _is_shown(point, log):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _grid_x(low: float, high: float, scale: Scale, top: float) -> list[str]:
    parts = []
    for tick in ticks(low, high, 7):
        at = scale(tick)
        parts += [
            grid_line(at, top, at, _HEIGHT - _BOTTOM),
            text(at, _HEIGHT - _BOTTOM + 16, tick_label(tick), 'middle'),
        ]
    return parts


def _grid_y(labels: Mapping[float, str], scale: Scale, left: float) -> list[str]:
    parts = []
    for tick, label in labels.items():
        at = scale(tick)
        parts += [grid_line(left, at, WIDTH - _RIGHT, at), text(left - 6, at + 4, label, 'end')]
    return parts


def _legend_rows(names: Sequence[str], begin: float) -> list[list[tuple[float, int, str]]]:
    """The entries of each row: where it begins, the number of the line, its name."""
    rows: list[list[tuple[float, int, str]]] = [[]]
    left = begin
    for number, name in enumerate(names):
        width = 36 + LETTER * len(name)
        if rows[-1] and left + width > WIDTH:
            rows.append([])
            left = begin
        rows[-1].append((left, number, name))
        left += width
    return rows


def _legend(rows: Sequence[Sequence[tuple[float, int, str]]]) -> list[str]:
    parts = []
    for row, entries in enumerate(rows):
        at = 13 + _ROW * row
        for left, number, name in entries:
            colour = COLOURS[number % len(COLOURS)]
            dashes = ' stroke-dasharray="5 3"' if number >= len(COLOURS) else ''
            parts.append(f'<path d="M{left:g} {at - 4}h14" stroke="{colour}" stroke-width="3"{dashes}/>')
            parts.append(text(left + 19, at, name, 'start'))
    return parts


def _empty(x: str, y: str) -> str:
    return svg(f'{y} over {x}: no values', text(WIDTH / 2, _HEIGHT / 2, 'no values', 'middle'), _HEIGHT)
