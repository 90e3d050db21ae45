"""What a run is, how it ended and what came out, in words and small tables."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..kinds import class_of
from ..paths import shown
from ..pretraining import NormalizedPixelTarget
from ..registry import MODELS
from .config_differences import changed, packaged, packaged_config
from .published import published
from .run import TASK_TITLES, Run
from .run_files import advice_of
from .sections import Table

NOT_RECORDED = 'not recorded'
#: Named settings that say what a run is, with what a reader calls them.
_SETTINGS = {
    'data_root': 'data',
    'pretrained': 'starts from',
    'init': 'which are weights of',
    'arch': 'ViT',
    'image_size': 'image size',
    'crop_size': 'crop size',
}


def facts_of(run: Run) -> list[tuple[str, str]]:
    """What a run is: (name, value) of each fact."""
    cfg, record = run.cfg, run.record or {}
    facts = [('task', TASK_TITLES[run.task]), ('state', state(run))]
    for key, title in _SETTINGS.items():
        if cfg is not None and cfg.get(key) is not None:
            value = 'random weights' if key == 'pretrained' and cfg[key] == 'none' else cfg[key]
            facts.append((title, shown(str(value))))
    if record.get('batch'):
        facts.append(('batch', str(record['batch']).removeprefix('batch ')))
    elif cfg is not None and cfg.get('total_batch_size'):
        facts.append(('batch', f'{cfg.total_batch_size} images in all'))
    if run.length:
        of_epoch = f', {run.epoch_length:,.0f} iterations each' if run.by_epoch and run.course.training else ''
        facts.append(('length', f'{run.length:,g} {run.unit}s{of_epoch}'))
    facts.append(('time', _duration(run)))
    facts.append(('device', _device(record)))
    facts.append(('seed', NOT_RECORDED if run.seed is None else str(run.seed)))
    name = packaged_config(run)
    facts.append(
        ('config', name or shown(str(record.get('config') or 'none of the packaged ones, or not known which')))
    )
    return facts


def by_folder(runs: Iterable[Run]) -> dict[Path, str]:
    """The names of runs by their folders."""
    return {run.found.folder.resolve(): run.name for run in runs}


def start_of(run: Run, names: Mapping[Path, str]) -> str:
    """What a run started from, in a few words; '' where it is not known.

    Args:
        names: of the runs of the report (:func:`by_folder`): a start that is one of them has its name.
    """
    given = None if run.cfg is None else run.cfg.get('pretrained')
    if given in (None, 'none'):
        return 'random weights' if given or run.task == 'pretrain' else ''
    path = Path(str(given))
    place = next((folder for folder in (path.resolve(), path.resolve().parent) if folder in names), None)
    return shown(names[place] if place is not None else os.path.join(*path.parts[-2:]))


def _device(record: dict[str, Any]) -> str:
    if not record:
        return NOT_RECORDED
    processes = record['processes']
    return f'{record["device"]}, {processes} process{"es" if processes != 1 else ""}'


def _duration(run: Run) -> str:
    if run.seconds is None:
        return NOT_RECORDED
    sessions = sum(log.began is not None for log in run.logs)
    return f'{timedelta(seconds=int(run.seconds))}{f", in {sessions} sessions" if sessions > 1 else ""}, by the log'


def state(run: Run) -> str:
    """Whether a run is completed, and how far it came."""
    if not run.course.training and not run.course.validation:
        # A test is a run of its own where its folder alone was given.
        return 'a test' if run.tested else 'no figures yet: it has just begun, or stopped before its first line'
    reached = f'{run.unit} {round(run.reached, 2):,g}' + (f' of {run.length:,g}' if run.length else '')
    if run.record is None:
        return f'{reached} by its last figures; how it ended is not recorded'
    end = (run.records[-1] or run.record).get('end')
    if end is None:
        return f'{reached} by its last figures; no end is recorded: it is still running, or it was killed'
    return f'{shown(str(end))}; {reached}'


def is_unfinished(run: Run) -> bool:
    """Whether a run is known not to be at its end."""
    record = run.record
    return record is not None and record.get('end') != 'completed'


def verdict_of(run: Run) -> list[tuple[str, bool]]:
    """Is the result good: lines, and whether each warns."""
    lines: list[tuple[str, bool]] = []
    for metric in run.metrics[:2]:
        result = run.result(metric)
        if result is None:
            continue
        value, of = result
        if not math.isfinite(value):
            lines.append((f'{metric.title} is no number at {of}: the training went wrong.', True))
            continue
        line = f'{metric.title[0].upper()}{metric.title[1:]} {metric.text(value)} ({of})'
        values = run.validated(metric.key)
        if len(values) > 1:
            best, first = metric.best(values), min(values)
            if metric.text(values[best]) not in (metric.text(value), metric.text(values[first])):
                line += f'; the best was {metric.text(values[best])} at {run.unit} {best:g}'
            line += f'; it was {metric.text(values[first])} at {run.unit} {first:g}'
        lines.append((f'{line}.', False))
    if (reference := reference_of(run)) is not None:
        lines.append((reference, False))
    if run.task == 'pretrain' and run.metrics:
        advice = advice_of(run.found.folder)
        if advice:
            lines += [(f'Advice in the log: {text}.', is_warning) for text, is_warning in advice]
        elif advice is None:
            lines.append(('The advice of its evaluations is not recorded.', False))
        else:
            lines.append(('Too few evaluations for advice on its length: six are needed.', False))
    missing = sum(not math.isfinite(line.get('loss', 0.0)) for line in run.course.training)
    if missing:
        lines.append((f'{missing} of {len(run.course.training)} lines have a training loss that is no number.', True))
    if not lines:
        lines.append(('No evaluation is in its figures.', False))
    return lines


def reference_of(run: Run) -> str | None:
    """What the result of a run can be compared with, in a sentence; None where nothing is known."""
    if run.cfg is None or not run.metrics:
        return None
    if run.task == 'pretrain':
        target = run.cfg.model.get('target')
        kind = class_of(target, MODELS, run.cfg.get('default_scope')) if target else None
        if isinstance(kind, type) and issubclass(kind, NormalizedPixelTarget):
            return (
                'For comparison: 1 is the loss of a model that paints every hidden patch in its mean colour, 0 that of '
                'a perfect one.'
            )
        return None
    if run.task == 'classify' and (classes := run.cfg.model.get('num_classes')):
        return f'For comparison: guessing among {classes} classes is right in {100 / classes:.2g} %.'
    return 'For comparison: 0 is nothing right, 100 everything.' if run.task in ('detect', 'segment') else None


def published_line(run: Run) -> str | None:
    """What is published for the config of a run, marked as quoted; None where nothing is."""
    name = packaged_config(run)
    found = None if name is None else published(name)
    if found is None:
        return None
    count = len(changed(run))
    note = f' This run differs from that config in {count} settings.' if count else ''
    return f'Published for {found.config}, not measured here: {found.text}{note}'


def results_table(run: Run) -> Table | None:
    """All figures of the evaluations: the last and the best of each; None without any."""
    known = {metric.key: metric for metric in run.metrics}
    tested = run.tested[1] if run.tested else {}
    rows: list[tuple[str | float | int | None, ...]] = []
    for key in dict.fromkeys([*run.validation_keys, *tested]):
        values, metric = run.validated(key), known.get(key)
        last = values[max(values)] if values else None
        best: str | None = None
        if metric is not None and values:
            place = metric.best(values)
            best = f'{values[place]:.4g} ({run.unit} {place:g})'
        rows.append((key, last, best, tested.get(key)))
    if not rows:
        return None
    columns = ('figure', f'last ({run.unit} {run.reached:,.4g})', 'best', 'test')
    kept = [number for number in range(4) if number < 2 or any(row[number] is not None for row in rows)]
    return Table(
        tuple(columns[number] for number in kept),
        tuple(tuple(row[number] for number in kept) for row in rows),
        'As the log has them: AP from 0 to 1, mIoU and accuracies in per cent.',
    )


def changed_table(run: Run) -> Table | None:
    """The settings that a run changed in its packaged config; None where the config is not known, or nothing is."""
    name, found = packaged_config(run), changed(run)
    if name is None or not found:
        return None
    rows = tuple((key, _short(own), _short(theirs)) for key, own, theirs in found)
    return Table(('setting', 'this run', name), rows, f'What this run changed in {len(packaged(name))} settings.')


def command_of(run: Run) -> str:
    """The command line that started the newest session."""
    record = run.record
    if record is None:
        return NOT_RECORDED
    return f'cd {shlex.quote(record["folder"])}\n{shlex.join(record["command"])}'


def environment_of(run: Run) -> str:
    """Versions, machine and commit; of a run that did not record them what its log says."""
    if (record := run.record) is not None:
        lines = [f'{name} {version}' for name, version in record['packages'].items()]
        lines += [f'{key}: {record[key]}' for key in ('platform', 'device', 'processes', 'started') if record.get(key)]
        lines.append(f'commit of mae_transfer: {record.get("commit") or "not recorded"}')
        return '\n'.join(lines)
    return next((log.environment for log in reversed(run.logs) if log.environment), NOT_RECORDED)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 160 else f'{text[:158]}…'
