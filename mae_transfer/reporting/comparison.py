"""Runs of one task side by side: seeds averaged, by the settings that differ, beside what was published."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from .config_differences import changed, differing, packaged_config
from .facts import by_folder, is_unfinished, start_of
from .plots import line_plot
from .published import Published, published
from .run import TASK_TITLES, Metric, Run
from .sections import Plot, Table
from .strip_plot import strip_plot
from .svg import COLOURS

#: The column of what runs started from.
START = 'starts from'
#: Settings that have a column of their own.
_COLUMNS = 5
#: Rows whose results are drawn.
_DRAWN = 12


@dataclass(frozen=True)
class Comparison:
    """The runs of a task.

    Attributes:
        title: the task.
        text: the result in a sentence or two.
        table: a row for each setting, of all its seeds.
        plots: the results of all runs, and the course of each.
        quoted: rows of published results, which were not measured here.
        notes: what is not the same in the runs behind a row, and where published results come from.
    """

    title: str
    text: str
    table: Table
    plots: tuple[Plot, ...]
    quoted: tuple[tuple[str | float | int | None, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    """Runs with the same settings."""

    settings: tuple[str, ...]
    runs: tuple[Run, ...]

    def values(self, metric: Metric) -> list[float]:
        """A metric's result of each run that has one."""
        found = (run.result(metric) for run in self.runs)
        return [result[0] for result in found if result is not None]


def comparisons(runs: Sequence[Run]) -> list[Comparison]:
    """A comparison for each task that several of the runs of a report are of."""
    names = by_folder(runs)
    tasks = dict.fromkeys(run.task for run in runs if run.cfg is not None and run.metrics)
    by_task = {
        task: [run for run in runs if run.task == task and run.cfg is not None and run.metrics] for task in tasks
    }
    return [_compared(some, names) for some in by_task.values() if len(some) > 1]


def _compared(runs: Sequence[Run], names: Mapping[Path, str]) -> Comparison:
    found = _differences(runs, names)
    groups: dict[tuple[str, ...], list[Run]] = {}
    for number, run in enumerate(runs):
        groups.setdefault(tuple(values[number] for values in found.values()), []).append(run)
    rows = [_Group(settings, tuple(some)) for settings, some in groups.items()]
    metrics = list(dict.fromkeys(metric for run in runs for metric in run.metrics))
    columns = list(found)[:_COLUMNS]
    notes = []
    if len(found) > len(columns):
        others = list(found)[_COLUMNS:]
        notes.append(
            f'The rows also differ in {len(others)} other settings: {", ".join(others[:12])}{"…" * (len(others) > 12)}.'
        )
    if unfinished := [run.name for run in runs if is_unfinished(run)]:
        notes.append(f'Not at their end: {", ".join(unfinished)}.')
    head, quoted = columns or ['settings'], []
    for published_one, differences in _published(runs, {metric.title for metric in metrics}):
        cells = [f'{published_one.values[m.title]:g}' if m.title in published_one.values else '' for m in metrics]
        label = f'published ({published_one.source}), not measured here'
        quoted.append((label, *[''] * (len(head) - 1), '', *cells, ''))
        notes.append(
            f'Published for {published_one.config}: {published_one.text} The runs here differ from that config in '
            f'{len(differences)} settings{_few(differences)}: its figures are no target for them.'
            if differences
            else f'Published for {published_one.config}: {published_one.text}'
        )
    table = Table(
        (*head, 'n', *(_title(metric) for metric in metrics), 'runs'),
        tuple(_row(group, len(columns), metrics) for group in rows),
        'Mean ± standard deviation over the n runs of a row (n - 1 in its denominator); of one run there is none. '
        'Results are those of the newest test, or of the last evaluation.',
    )
    return Comparison(
        title=TASK_TITLES[runs[0].task].capitalize(),
        text=_sentence(rows, columns, metrics[0]),
        table=table,
        plots=(*_strips(rows, metrics), *_plots(runs, metrics)),
        quoted=tuple(quoted),
        notes=tuple(notes),
    )


def _differences(runs: Sequence[Run], names: Mapping[Path, str]) -> dict[str, list[str]]:
    """In what runs differ: of each setting, its value in each run, as a table shows them."""
    used = [packaged_config(run) or (run.record or {}).get('config') for run in runs]
    found: dict[str, list[str]] = {}
    if all(used) and len({*used}) > 1:  # of some older runs it is not known
        found['config'] = [str(name) for name in used]
    configs = [run.cfg for run in runs if run.cfg is not None]
    settings = {key: list(map(_shown, values)) for key, values in differing(configs).items()}
    starts = [start_of(run, names) for run in runs]
    given = settings.get('pretrained')
    if given and all(starts) and len({*zip(starts, given)}) == len({*starts}) == len({*given}):
        # In words, which also say what the weights are of where the setting `init` follows from them.
        if len({*zip(given, settings.get('init', given))}) == len({*given}):
            settings.pop('init', None)
        found[START] = starts
        del settings['pretrained']
    return found | settings


def _plots(runs: Sequence[Run], metrics: Sequence[Metric]) -> tuple[Plot, ...]:
    """Each metric while the runs trained, of as many runs as there are colours."""
    found = []
    shown = runs[: len(COLOURS)]
    for metric in metrics:
        series = {
            run.name: [(place, value * metric.factor) for place, value in sorted(run.validated(metric.key).items())]
            for run in shown
            if run.unit == runs[0].unit
        }
        if any(len(points) > 1 for points in series.values()):
            caption = f'{_title(metric)}, evaluated while training'
            caption += f'; the first {len(shown)} of {len(runs)} runs.' if len(shown) < len(runs) else '.'
            found.append(Plot(line_plot(series, runs[0].unit, metric.title), caption))
    return tuple(found)


def _strips(groups: Sequence[_Group], metrics: Sequence[Metric]) -> tuple[Plot, ...]:
    """The results of all runs of each row, where there are several rows."""
    found = []
    for metric in metrics:
        rows = {}
        for group, label in zip(groups, _labels(groups)):
            if values := [value * metric.factor for value in group.values(metric) if math.isfinite(value)]:
                rows[label] = values
        if 1 < len(rows) <= _DRAWN:
            several = any(len(values) > 1 for values in rows.values())
            caption = f'{_title(metric)}: a dot for each run{", a bar at their mean" if several else ""}.'
            found.append(Plot(strip_plot(rows, metric.title), caption))
    return tuple(found)


def _labels(groups: Sequence[_Group]) -> list[str]:
    """A name for each row that no other has: the values of its first settings."""
    for count in range(1, _COLUMNS + 1):
        labels = [', '.join(group.settings[:count]) for group in groups]
        if len({*labels}) == len(labels):
            return labels
    return [', '.join(run.name for run in group.runs) for group in groups]


def _row(group: _Group, columns: int, metrics: Sequence[Metric]) -> tuple[str | float | int | None, ...]:
    head = group.settings[:columns] or ('the same',)
    seeds = ', '.join(str(run.seed) for run in group.runs)
    names = ', '.join(run.name for run in group.runs)
    cells = [spread(group.values(metric), metric) for metric in metrics]
    return (
        *head,
        len(group.runs),
        *cells,
        f'{names} (seed {seeds})' if len(group.runs) == 1 else f'{names} (seeds {seeds})',
    )


def spread(values: Sequence[float], metric: Metric) -> str:
    """Mean and standard deviation; '' without a value."""
    if not values:
        return ''
    return metric.text(mean(values)) + (f' ± {metric.text(stdev(values))}' if len(values) > 1 else '')


def _title(metric: Metric) -> str:
    return f'{metric.title} (less is better)' if metric.falls else metric.title


def _sentence(groups: Sequence[_Group], columns: Sequence[str], metric: Metric) -> str:
    """Which settings have the best mean, and by how much they lead."""
    means = {number: mean(values) for number, group in enumerate(groups) if (values := group.values(metric))}
    means = {number: value for number, value in means.items() if math.isfinite(value)}
    if len(means) < 2:
        total = sum(len(group.runs) for group in groups)
        value = spread(groups[0].values(metric), metric)
        return f'{total} runs with the same settings: {metric.title} {value}.' if value else f'{total} runs.'
    order = sorted(means, key=lambda number: means[number], reverse=not metric.falls)
    first, last = groups[order[0]], groups[order[-1]]
    if metric.text(means[order[0]]) == metric.text(means[order[-1]]):
        return f'no difference in {metric.title} between the rows, {metric.text(means[order[0]])} in each.'
    text = (
        f'best {metric.title} {spread(first.values(metric), metric)} {_words(first, columns)}; '
        f'{"the other" if len(means) == 2 else "the lowest" if not metric.falls else "the highest"} '
        f'{spread(last.values(metric), metric)} {_words(last, columns)}.'
    )
    return f'{text} {_certainty(first.values(metric), last.values(metric), metric)}'


def _certainty(first: Sequence[float], last: Sequence[float], metric: Metric) -> str:
    """Whether a difference of two means is more than chance."""
    if min(len(first), len(last)) < 2:
        return 'One run of a kind does not show the spread between seeds, so this may be chance.'
    difference = abs(mean(first) - mean(last))
    error = math.sqrt(stdev(first) ** 2 / len(first) + stdev(last) ** 2 / len(last))
    found = f'the difference, {metric.text(difference)}, has a standard error of {metric.text(error)}'
    if difference < 2 * error:
        return f'This may be chance: {found}.'
    return f'This is more than the spread between seeds: {found}.'


def _words(group: _Group, columns: Sequence[str]) -> str:
    """After a result: by which settings it came about."""
    return ', '.join(
        f'starting from {value}' if key == START else f'with {key} = {value}'
        for key, value in list(zip(columns, group.settings))[:2]
    )


def _published(runs: Sequence[Run], titles: set[str]) -> list[tuple[Published, list[str]]]:
    """What is published for the configs of runs in their own metrics, and the settings in which a run differs."""
    found: dict[str, tuple[Published, list[str]]] = {}
    for run in runs:
        name = packaged_config(run)
        result = None if name is None or name in found else published(name)
        if name is not None and result is not None and titles & result.values.keys():
            found[name] = (result, [key for key, *_ in changed(run)])
    return list(found.values())


def _few(keys: Sequence[str]) -> str:
    return f' ({", ".join(keys[:6])}{", …" if len(keys) > 6 else ""})' if keys else ''


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f'…{text[-58:]}'
