"""An ablation's published and measured accuracy, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

from matplotlib.figure import Figure


def ablation_figure(
    title: str,
    axis: str,
    rows: Sequence[float | str],
    published: Mapping[str, Sequence[float | None]],
    measured: Mapping[str, Sequence[Sequence[float]]],
    words: str = '',
) -> Figure:
    """Two plots: what the paper reports, and what was measured here. Lines where the rows are numbers, over a
    logarithmic axis where they reach from one to sixteen or more, else bars.

    Args:
        title: of the figure.
        axis: what the rows vary.
        rows: values on that axis, R of them.
        published: {name of the number: R values in per cent, None where there is none}.
        measured: {name of the number: R lists of the seeds' values in per cent}; the mean is drawn, and a bar from the
            lowest to the highest.
        words: how the measured numbers came about, for their plot's title.
    """
    figure = Figure(figsize=(11, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    _draw(
        left,
        axis,
        rows,
        {name: [[] if value is None else [value] for value in values] for name, values in published.items()},
    )
    _draw(right, axis, rows, measured)
    left.set_title('published (ImageNet-1k)')
    right.set_title(fill(words, 50) or 'measured')
    figure.suptitle(title)
    return figure


def _draw(plot, axis: str, rows: Sequence[float | str], series: Mapping[str, Sequence[Sequence[float]]]) -> None:
    numeric = all(isinstance(row, (int, float)) for row in rows)
    series = {name: values for name, values in series.items() if any(values)}
    for number, (name, values) in enumerate(series.items()):
        known = [index for index, seeds in enumerate(values) if seeds]
        means = [sum(values[index]) / len(values[index]) for index in known]
        spread = [
            [mean - min(values[index]) for index, mean in zip(known, means)],
            [max(values[index]) - mean for index, mean in zip(known, means)],
        ]
        if numeric:
            plot.errorbar([rows[index] for index in known], means, spread, marker='o', capsize=3, label=name)
        else:
            width = 0.8 / len(series)
            places = [index + (number - (len(series) - 1) / 2) * width for index in known]
            bars = plot.bar(places, means, width, yerr=spread, capsize=3, label=name)
            plot.bar_label(bars, fmt='%.1f', fontsize=7, padding=2)
    if numeric:
        if max(rows) >= 16 * min(rows) > 0:
            plot.set_xscale('log')
            plot.minorticks_off()
        plot.set_xticks(rows, [str(row) for row in rows])
    else:
        plot.set_xticks(range(len(rows)), [str(row).replace(', ', ',\n') for row in rows], fontsize=8)
        # Bars that begin at zero would hide differences of a point.
        values = [value for own in series.values() for seeds in own for value in seeds]
        if values:
            margin = max(1.0, 0.25 * (max(values) - min(values)))
            plot.set_ylim(max(0.0, min(values) - margin), max(values) + margin)
    plot.set_xlabel(axis)
    plot.set_ylabel('top-1, %')
    plot.grid(axis='y', alpha=0.3)
    if series:
        plot.legend()
