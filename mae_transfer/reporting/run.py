"""A run as a report shows it: what it is, how far it came, what came out."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mmengine.config import Config

from ..errors import UserError
from ..experiments.start_comparison import TASKS
from ..inference.run_config import config_of_run
from ..inference.tasks import Task, task_of
from ..learning.hook import LearningHook
from ..paths import shown
from .run_files import (
    TIMES,
    Course,
    FoundRun,
    LogText,
    metrics_of_test,
    read_course,
    read_log,
    record_of,
    training_folders,
)

TASK_TITLES: Mapping[Task | None, str] = {
    'pretrain': 'pre-training',
    'classify': 'classification',
    'detect': 'detection',
    'segment': 'segmentation',
    None: 'unknown task',
}


@dataclass(frozen=True)
class Metric:
    """A figure by which a task is judged.

    Attributes:
        title: in tables.
        key: in logs.
        factor: to show it by: shares as per cent.
        falls: whether less is better.
    """

    title: str
    key: str
    factor: float = 1.0
    falls: bool = False

    def text(self, value: float) -> str:
        """A value, as tables show it."""
        return f'{value * self.factor:.4f}' if self.falls else f'{value * self.factor:.1f}'

    def best(self, values: Mapping[float, float]) -> float:
        """Where the best of some values is; NaN is none."""
        finite = {place: value for place, value in values.items() if math.isfinite(value)} or dict(values)
        return (min if self.falls else max)(finite, key=lambda place: finite[place])


@dataclass
class Run:
    """A run.

    Attributes:
        found: where it is.
        name: in the report; no two have the same.
        cfg: the config of its newest session; None where it cannot be read.
        task: None without a config.
        course: its figures while it trained.
        tested: the figures of its newest test, and when that began.
        records: what each session was started with; None for those that did not record it.
        logs: of each session.
    """

    found: FoundRun
    name: str
    cfg: Config | None
    task: Task | None
    course: Course
    tested: tuple[str, dict[str, float]] | None
    records: list[dict[str, Any] | None]
    logs: list[LogText]
    config_text: str = field(default='', repr=False)

    @property
    def record(self) -> dict[str, Any] | None:
        """What the newest session of the training was started with."""
        return next((record for record in reversed(self.records) if record is not None), None)

    @property
    def by_epoch(self) -> bool:
        """Whether its length counts epochs."""
        return self.cfg is None or 'max_iters' not in (self.cfg.get('train_cfg') or {})

    @cached_property
    def epoch_length(self) -> float:
        """Iterations of an epoch: the least that the lines of training allow, which falls short by less than the
        distance of two lines."""
        lines = [line for line in self.course.training if line.get('epoch')]
        return max((math.ceil(line['iter'] / line['epoch']) for line in lines), default=1)

    @property
    def unit(self) -> str:
        """What its curves are over."""
        return 'epoch' if self.by_epoch else 'iteration'

    def place(self, iteration: float) -> float:
        """An iteration, in epochs where the run counts these."""
        return iteration / self.epoch_length if self.by_epoch else iteration

    def validated(self, key: str) -> dict[float, float]:
        """The values of a metric while it trained, by the epoch or iteration of the evaluation."""
        return {
            float(one.values.get('step', self.place(one.iteration))): one.values[key]
            for one in self.course.validation
            if key in one.values
        }

    @property
    def validation_keys(self) -> list[str]:
        """What its evaluations measure, without durations."""
        keys = dict.fromkeys(key for one in self.course.validation for key in one.values)
        return [key for key in keys if key not in (*TIMES, 'learning/seconds', 'step')]

    @property
    def held_out_loss(self) -> str:
        """The metric of a pre-training's loss on held-out photos."""
        hooks = (self.cfg.get('default_hooks') if self.cfg is not None else None) or {}
        return (hooks.get('learning') or {}).get('loss', LearningHook().loss)

    @cached_property
    def metrics(self) -> list[Metric]:
        """By what its task is judged, as far as it was measured."""
        known = [
            Metric(title, key, factor)
            for title, (key, factor) in (TASKS[self.task].metrics.items() if self.task in TASKS else ())
        ]
        known += [Metric('k-NN top-1', 'knn/top1_k20'), Metric('linear top-1', 'probe/top1')]
        if self.task == 'pretrain':
            known.insert(0, Metric('held-out loss', self.held_out_loss, falls=True))
        measured = {*self.validation_keys, *(self.tested[1] if self.tested else ())}
        return [metric for metric in known if metric.key in measured]

    def result(self, metric: Metric) -> tuple[float, str] | None:
        """The value that the run is judged by, and what it is of: the newest test, or the last evaluation; None if it
        was not measured."""
        if self.tested and metric.key in self.tested[1]:
            return self.tested[1][metric.key], 'test'
        values = self.validated(metric.key)
        if not values:
            return None
        last = max(values)
        return values[last], f'{self.unit} {last:g}'

    @property
    def seed(self) -> int | None:
        """The random seed, as recorded or as the config says."""
        if self.record is not None:
            return self.record.get('seed')
        return None if self.cfg is None else (self.cfg.get('randomness') or {}).get('seed')

    @property
    def length(self) -> float | None:
        """The epochs, or iterations of the log, that it is to have; None where the config does not say."""
        loop = (self.cfg.get('train_cfg') if self.cfg is not None else None) or {}
        if self.by_epoch:
            return loop.get('max_epochs')
        # The log counts forward passes, the config steps of the optimiser.
        return loop['max_iters'] * (self.record or {}).get('accumulation', 1)

    @property
    def reached(self) -> float:
        """The epoch or iteration of its last figures."""
        places = [self.place(line['iter']) for line in self.course.training[-1:]]
        places += [float(one.values['step']) for one in self.course.validation[-1:] if 'step' in one.values]
        return max(places, default=0.0)

    @property
    def seconds(self) -> float | None:
        """How long its sessions took, by their logs; None without a log."""
        spans = [(log.ended - log.began).total_seconds() for log in self.logs if log.began and log.ended]
        return sum(spans) if spans else None


def read_run(found: FoundRun, name: str) -> Run:
    """Read all that a run left, except its weights; raises ``UserError``."""
    folders, course, text = training_folders(found.folder), read_course(found.folder), ''
    cfg = task = None
    path = next((path for folder in reversed(folders) if (path := folder / 'vis_data' / 'config.py').is_file()), None)
    if path is None:
        course.notes.append('no session of this run has left its config')
    else:
        text = path.read_text(encoding='utf-8', errors='replace')
        try:
            cfg = config_of_run(path, dict(meta=dict(cfg=text)))
            task = task_of(cfg)
        except UserError as error:  # the figures of a run can be shown without it
            course.notes.append(f'what this run was for is not known: {error}')
    return Run(
        found=found,
        name=name,
        cfg=cfg,
        task=task,
        course=course,
        tested=metrics_of_test(found.folder),
        records=[record_of(folder) for folder in folders],
        logs=[read_log(folder) for folder in folders],
        config_text=text,
    )


def names_of(runs: list[FoundRun]) -> list[str]:
    """A name for each run: its folder's, with as many folders above as tell it from the others."""
    names = []
    for run in runs:
        parts = run.folder.absolute().parts
        own = next(
            (
                os.path.join(*parts[-depth:])
                for depth in range(1, len(parts))
                if not any(
                    other.folder != run.folder and other.folder.absolute().parts[-depth:] == parts[-depth:]
                    for other in runs
                )
            ),
            str(run.folder),
        )
        several = sum(other.folder == run.folder for other in runs) > 1
        names.append(shown(f'{own}, {run.checkpoint.name}' if several and run.checkpoint else own))
    return names
