"""Lines as an SVG element."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure


def line_plot(series: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, *, log: bool = False) -> str:
    """Draw lines.

    Args:
        series: (x, y) of each point by the name of its line, in the order of x.
        x, y: titles of the axes.
        log: whether the y axis is logarithmic.

    Returns:
        An ``<svg>`` element.
    """
    figure = Figure((5.6, 3.2), layout='constrained')
    axes = figure.add_subplot()
    for name, points in series.items():
        axes.plot(*zip(*points), label=name)
    axes.set(xlabel=x, ylabel=y, yscale='log' if log else 'linear')
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    text = io.StringIO()
    with rc_context({'svg.fonttype': 'none'}):
        FigureCanvasSVG(figure).print_svg(text)
    return text.getvalue()[text.getvalue().index('<svg') :]
