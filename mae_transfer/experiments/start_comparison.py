"""One schedule from several pre-trainings: the runs of a comparison, and its table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from ..errors import UserError
from ..starts import STARTS, start
from ..vit.weights.checkpoint import find_checkpoint
from .tool_runs import run_once


class Task(NamedTuple):
    """What is compared on.

    Args:
        config: the config of its runs unless the user names another, ``mae_transfer::NAME.py``.
        metrics: heading of a column -> metric in the log, and the factor to show it in per cent.
    """

    config: str
    metrics: Mapping[str, tuple[str, float]]


TASKS = {
    'classify': Task('mae_transfer::in1k_finetune_vitb.py', {'top-1': ('accuracy/top1', 1.0)}),
    'detect': Task(
        'mae_transfer::coco_maskrcnn_vitb.py', {'box AP': ('coco/bbox_mAP', 100.0), 'mask AP': ('coco/segm_mAP', 100.0)}
    ),
    'segment': Task('mae_transfer::ade20k_upernet_vitb.py', {'mIoU': ('mIoU', 1.0)}),
}


class NamedStart(NamedTuple):
    """A start of the comparison.

    Args:
        name: its row in the table.
        init: the setting ``init`` of its runs; None: MAE's.
        weights: work_dir or file; 'none' for random weights.
    """

    name: str
    init: str | None
    weights: str


def parse_start(text: str) -> NamedStart:
    """A start as the command line gives it: ``NAME=WEIGHTS`` or ``NAME:INIT=WEIGHTS``; ``none`` for random weights.

    Without INIT the name says what the weights are, if it is one of :data:`~mae_transfer.starts.STARTS`; otherwise they
    are a plain ViT.

    Raises:
        UserError: another form; an unknown INIT; weights that do not exist.
    """
    if text == 'none':
        return NamedStart('random', None, 'none')
    match = re.fullmatch(r'([\w.-]+)(?::(\w+))?=(.+)', text)
    if match is None:
        raise UserError(f"--starts '{text}': give NAME=WEIGHTS, NAME:INIT=WEIGHTS or none, e.g. beit=work_dirs/beit")
    name, init, weights = match.groups()
    if init is None and name.partition('_vit')[0] in STARTS:
        init = name
    start(init)  # raises for an unknown one
    if weights != 'none':
        find_checkpoint(weights)
    return NamedStart(name, init, weights)


class StartRun(NamedTuple):
    """The training on a task from a start with one seed."""

    task: str
    start: NamedStart
    seed: int

    def folder(self, work_dir: Path) -> Path:
        """The run's folder below that of all runs."""
        return work_dir / f'{self.task}_{self.start.name}_seed{self.seed}'

    def run(self, work_dir: Path, config: str, options: Sequence[str]) -> None:
        """Train, unless that is completed already; a run that was interrupted goes on.

        Args:
            options: ``KEY=VALUE`` for ``--cfg-options``.

        Raises:
            UserError: the run failed, or its folder is of other weights, config or options.
        """
        folder = self.folder(work_dir)
        settings = [*options, f'randomness.seed={self.seed}', f'pretrained={self.start.weights}']
        if self.start.init:
            settings.append(f'init={self.start.init}')
        self._check_same(folder, [config, *settings])
        resume = ['--resume'] if (folder / 'last_checkpoint').exists() else []
        arguments = [config, '--work-dir', str(folder), *resume, '--cfg-options', *settings]
        if run_once(folder, 'train', arguments):
            print(f'{folder.name}: {", ".join(f"{value:.2f}" for value in self.results(work_dir) or ())}', flush=True)

    def _check_same(self, folder: Path, wanted: list[str]) -> None:
        """Refuse a folder of another run, whose result would be taken for this one's."""
        stated = folder / 'compared.json'
        if stated.exists():
            found = json.loads(stated.read_text())
            if differing := [setting for setting in (*wanted, *found) if (setting in wanted) != (setting in found)]:
                raise UserError(f"{folder} is of a run with another '{differing[0]}': choose another --work-dir")
            return
        folder.mkdir(parents=True, exist_ok=True)
        stated.write_text(json.dumps(wanted))

    def results(self, work_dir: Path) -> list[float] | None:
        """The last value of each of the task's metrics, in per cent; None if the run is not completed.

        Raises:
            UserError: a metric was not measured.
        """
        folder = self.folder(work_dir)
        if not (folder / 'done').exists():
            return None
        lines = [
            json.loads(line)
            for file in sorted(folder.glob('*/vis_data/scalars.json'))  # MMEngine's folders are named by their time
            for line in file.read_text().splitlines()
        ]
        values = []
        for metric, factor in TASKS[self.task].metrics.values():
            found = [line[metric] for line in lines if metric in line]
            if not found:
                raise UserError(f"{folder} has no '{metric}' in its log: choose a config that measures it")
            values.append(factor * found[-1])
        return values


def comparison_table(starts: Sequence[NamedStart], tasks: Sequence[str], seeds: Sequence[int], work_dir: Path) -> str:
    """Markdown: a row for each start; for each metric its mean and standard deviation over the seeds, and the mean
    difference to the first start in the same seeds, with the standard error of that mean."""
    columns = [(task, place, name) for task in tasks for place, name in enumerate(TASKS[task].metrics)]
    values: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in starts:
        for task, place, name in columns:
            found = {seed: StartRun(task, row, seed).results(work_dir) for seed in seeds}
            values[row.name, task, name] = {seed: numbers[place] for seed, numbers in found.items() if numbers}
    first = starts[0].name
    head = ['start', *(text for *_, name in columns for text in (name, f'minus {first}'))]
    lines = [f'| {" | ".join(head)} |', '|---' * len(head) + '|']
    for row in starts:
        cells = [row.name]
        for task, _, name in columns:
            own, reference = values[row.name, task, name], values[first, task, name]
            differences = [own[seed] - reference[seed] for seed in own if seed in reference]
            cells += [_spread(list(own.values())), '' if row.name == first else _difference(differences)]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def _spread(values: Sequence[float]) -> str:
    """Mean, standard deviation and the values themselves."""
    if not values:
        return ''
    deviation = f' ± {stdev(values):.1f}' if len(values) > 1 else ''
    return f'**{mean(values):.1f}**{deviation} ({", ".join(f"{value:.1f}" for value in values)})'


def _difference(values: Sequence[float]) -> str:
    """Mean of paired differences and its standard error."""
    if not values:
        return ''
    error = f' ± {stdev(values) / len(values) ** 0.5:.1f}' if len(values) > 1 else ''
    return f'{mean(values):+.1f}{error}'
