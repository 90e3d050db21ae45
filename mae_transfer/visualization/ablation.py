"""Plots of an ablation: published and measured accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure


def ablation_figure(
    title: str,
    axis: str,
    rows: Sequence[float] | Sequence[str],
    published: Mapping[str, Sequence[float | None]],
    measured: Mapping[str, Sequence[Sequence[float]]],
    caption: str = '',
) -> Figure:
    """Draw two plots next to each other: what the paper reports, and what was measured here.

    Numeric rows give lines, on a logarithmic axis if they span a factor of 16 or more; other rows give bars.

    Args:
        title: of the figure.
        axis: what the rows vary.
        rows: R values on that axis.
        published: {metric: R values in per cent, None where the paper has none}.
        measured: {metric: R lists of values in per cent, one for each seed}; drawn as the mean, with an error bar from
            the lowest to the highest.
        caption: how the values were measured; the title of their plot.
    """
    figure = Figure(figsize=(11, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    single = {
        name: [[] if value is None else [value] for value in values]  # a list of one "seed" each
        for name, values in published.items()
    }
    _draw(left, axis, rows, single)
    _draw(right, axis, rows, measured)
    left.set_title('published (ImageNet-1k)')
    right.set_title(fill(caption, 50) or 'measured')
    figure.suptitle(title)
    return figure


def _draw(
    plot: Axes, axis: str, rows: Sequence[float] | Sequence[str], series: Mapping[str, Sequence[Sequence[float]]]
) -> None:
    numbers = [row for row in rows if isinstance(row, (int, float))]
    numeric = len(numbers) == len(rows)
    series = {name: values for name, values in series.items() if any(values)}
    for place, (name, values) in enumerate(series.items()):
        known = [index for index, seeds in enumerate(values) if seeds]
        means = [sum(values[index]) / len(values[index]) for index in known]
        below = [mean - min(values[index]) for index, mean in zip(known, means)]
        above = [max(values[index]) - mean for index, mean in zip(known, means)]
        if numeric:
            plot.errorbar([numbers[index] for index in known], means, [below, above], marker='o', capsize=3, label=name)
        else:
            width = 0.8 / len(series)
            centres = [index + (place - (len(series) - 1) / 2) * width for index in known]
            bars = plot.bar(centres, means, width, yerr=[below, above], capsize=3, label=name)
            plot.bar_label(bars, fmt='%.1f', fontsize=7, padding=2)
    if numeric:
        if max(numbers) >= 16 * min(numbers) > 0:
            plot.set_xscale('log')
            plot.minorticks_off()
        plot.set_xticks(numbers, [str(row) for row in rows])
    else:
        plot.set_xticks(range(len(rows)), [str(row).replace(', ', ',\n') for row in rows], fontsize=8)
        # Not from zero, because that would hide differences of one point.
        accuracies = [accuracy for values in series.values() for seeds in values for accuracy in seeds]
        if accuracies:
            margin = max(1.0, 0.25 * (max(accuracies) - min(accuracies)))
            plot.set_ylim(max(0.0, min(accuracies) - margin), max(accuracies) + margin)
    plot.set_xlabel(axis)
    plot.set_ylabel('top-1, %')
    plot.grid(axis='y', alpha=0.3)
    if series:
        plot.legend()
