"""The files that runs leave, found and read: figures of all sessions of a run in their order, tests, pictures, logs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UserError, shorten
from ..learning.hook import ADVICE
from ..paths import shown, user_path
from ..runs.record import NAME as RECORD

#: MMEngine names the folder of a log, and the log in it, by the second of its start.
_LOG_FOLDER = re.compile(r'\d{8}_\d{6}')
#: In ``vis_data/`` of a session's folder.
SCALARS = 'scalars.json'
#: Durations, which every evaluation has beside its results.
TIMES = ('time', 'data_time')


class FoundRun(NamedTuple):
    """A run that a report is to show: its work_dir, and the checkpoint of it that was asked for, if one was."""

    folder: Path
    checkpoint: Path | None = None

    @property
    def weights(self) -> Path:
        """What stands for its model."""
        return self.checkpoint or self.folder


class Evaluated(NamedTuple):
    """A training's validation: the iteration of the line before it, and its figures."""

    iteration: float
    values: dict[str, float]


@dataclass
class Course:
    """The figures of a run's sessions, in order and each once.

    Attributes:
        training: the lines of training; each has 'iter'.
        validation: the evaluations while it trained.
        notes: what a reader has to know of how they were joined.
    """

    training: list[dict[str, float]] = field(default_factory=list)
    validation: list[Evaluated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_runs(paths: Iterable[str | os.PathLike]) -> list[FoundRun]:
    """The runs that paths name: work_dirs, checkpoints in them, or folders of work_dirs, at most two levels below.

    Raises:
        UserError: a path that does not exist, or that has no run.
    """
    found: dict[FoundRun, None] = {}
    for given in paths:
        path = user_path(given, 'run')
        if path.is_file():
            if not log_folders(path.parent):
                raise UserError(f'{shown(path)} has no log of a run beside it: give the work_dir of a training')
            found[FoundRun(path.parent, path)] = None
            continue
        if not path.is_dir():
            raise UserError(f"there is no run '{shown(path)}': give the work_dir of a training, or a checkpoint in one")
        runs = [path] if log_folders(path) else _runs_below(path)
        if not runs:
            names = sorted(child.name for child in path.iterdir())
            raise UserError(
                f'{shown(path)} is no run: a work_dir has a folder of a log, such as 20260131_120000; found '
                f'{shown(shorten(names)) if names else "nothing"}'
            )
        found |= dict.fromkeys(map(FoundRun, runs))
    return list(found)


def _runs_below(folder: Path) -> list[Path]:
    below = sorted(path for path in chain(folder.glob('*'), folder.glob('*/*')) if path.is_dir())
    runs = [path for path in below if log_folders(path) and path.name != 'test']
    # A test with a folder of its own is shown with its run: see folders_of_tests.
    return [path for path in runs if not any(path in folders_of_tests(run) for run in runs)]


def log_folders(work_dir: Path) -> list[Path]:
    """The folders of a run's sessions, in their order."""
    return sorted(path for path in work_dir.glob('*') if _LOG_FOLDER.fullmatch(path.name) and path.is_dir())


def training_folders(work_dir: Path) -> list[Path]:
    """The folders of a run's sessions in which it trained, without those of tests; all, where none shows it."""
    folders = log_folders(work_dir)
    found = [folder for folder in folders if any((folder / 'vis_data' / name).is_file() for name in (RECORD, SCALARS))]
    return found or folders


def folders_of_tests(work_dir: Path) -> list[Path]:
    """Where evaluations of a run may have their logs: its own folder, and what ``mae_transfer.test`` and the quickstart
    write to."""
    return [work_dir / 'test', work_dir.with_name(f'{work_dir.name}_test')]


def read_course(work_dir: Path) -> Course:
    """The figures of all sessions of a run. Where a session goes on from an iteration, what the one before it did after
    that is left out."""
    course = Course()
    for folder in log_folders(work_dir):
        training, validation = _session(folder, course.notes)
        if training:
            _leave_out(course, int(training[0]['iter']), folder.name)
        course.training += training
        course.validation += validation
    return course


def _leave_out(course: Course, first: int, session: str) -> None:
    """Leave out what comes at or after the first iteration of the session that follows."""
    kept = [line for line in course.training if line['iter'] < first]
    left = len(course.training) - len(kept)
    if course.training and not kept:
        course.notes.append(f'{session} began again from the start: what an earlier training left here is not shown')
    elif left:
        course.notes.append(
            f'{session} went on from a checkpoint before iteration {first}: {left} later lines of the session before '
            'it are not shown'
        )
    elif course.training:
        course.notes.append(f'{session} went on before iteration {first}')
    course.training = kept
    course.validation = [one for one in course.validation if one.iteration < first] if kept else []


def _session(folder: Path, notes: list[str]) -> tuple[list[dict[str, float]], list[Evaluated]]:
    training: list[dict[str, float]] = []
    validation: list[Evaluated] = []
    path = folder / 'vis_data' / SCALARS
    if not path.is_file():
        return training, validation
    unreadable = 0
    lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
        except ValueError:
            if number == len(lines):
                notes.append(f'the last line of {folder.name} is cut: the run is writing it, or stopped while it wrote')
            else:
                unreadable += 1
            continue
        values = _numbers(found)
        if 'iter' in values:
            training.append(values)
        elif values:
            validation.append(Evaluated(training[-1]['iter'] if training else 0, values))
    if unreadable:
        notes.append(f'{unreadable} lines of {folder.name} cannot be read, and are left out')
    return training, validation


def _numbers(found: Any) -> dict[str, float]:
    """The numbers of a line, NaN among them: a loss that is none is a result."""
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if isinstance(value, (int, float)) and value is not True}


def metrics_of_test(work_dir: Path) -> tuple[str, dict[str, float]] | None:
    """The newest evaluation by a test: when it began, and its figures; None without one."""
    found: dict[str, dict[str, float]] = {}
    for folder in _logs_of_tests(work_dir):
        path = folder / f'{folder.name}.json'
        if path.is_file():
            try:
                values = _numbers(json.loads(path.read_text(encoding='utf-8')))
            except ValueError:  # still being written
                continue
            found[folder.name] = {name: value for name, value in values.items() if name not in TIMES}
    return max(found.items()) if found else None


def confusion_of(work_dir: Path) -> Path | None:
    """The newest picture of a confusion matrix; None without one."""
    found = [folder / 'confusion.png' for folder in _logs_of_tests(work_dir) if (folder / 'confusion.png').is_file()]
    return max(found, key=lambda path: path.parent.name) if found else None


def _logs_of_tests(work_dir: Path) -> list[Path]:
    return [folder for place in (work_dir, *folders_of_tests(work_dir)) for folder in log_folders(place)]


def reconstructions_of(work_dir: Path) -> list[Path]:
    """The pictures of reconstructions through training, in its order; the last model's is the last."""

    def place(path: Path) -> float:
        number = re.search(r'\d+$', path.stem)
        return float(number[0]) if number else float('inf')

    found = sorted((work_dir / 'reconstructions').glob('*.png'), key=place)
    if len(found) > 1 and found[-1].read_bytes() == found[-2].read_bytes():  # of the last epoch, and of the end
        found.pop()
    return found


def record_of(folder: Path) -> dict[str, Any] | None:
    """What a session was started with; None where that was not recorded."""
    return _json(folder / 'vis_data' / RECORD, dict)


def advice_of(work_dir: Path) -> list[tuple[str, bool]] | None:
    """The last advice of a pre-training's ``LearningHook``, and whether each line warns; None where none is stored."""
    for folder in reversed(log_folders(work_dir)):
        if (found := _json(folder / 'vis_data' / ADVICE, list)) is not None:
            return [(str(line['text']), bool(line['is_warning'])) for line in found]
    return None


def _json(path: Path, kind: type) -> Any:
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise UserError(f'{shown(path)} cannot be read ({error}): remove it to report the run without it') from error
    return found if isinstance(found, kind) else None


@dataclass(frozen=True)
class LogText:
    """What a session's log says beside its figures: its first and last time, and the environment."""

    began: datetime | None = None
    ended: datetime | None = None
    environment: str = ''


def read_log(folder: Path) -> LogText:
    """Read the log of a session; empty where it is missing."""
    path = folder / f'{folder.name}.log'
    if not path.is_file():
        return LogText()
    text = path.read_text(encoding='utf-8', errors='replace')
    times = re.findall(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) ', text, re.MULTILINE)
    began, ended = (datetime.strptime(times[i], '%Y/%m/%d %H:%M:%S') if times else None for i in (0, -1))
    block = re.search(r'^System environment:\n.*?(?=^-{20,}$)', text, re.MULTILINE | re.DOTALL)
    return LogText(began, ended, block[0].strip() if block else '')
