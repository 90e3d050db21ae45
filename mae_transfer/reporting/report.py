"""One HTML file of what runs learnt, which opens from disk without a network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..calls import python_call
from ..data.files.image_files import evenly
from ..errors import UserError, is_whole, own_line
from ..outputs import output_file
from ..paths import shown, user_path
from ..progress import progress
from ..whole_files import written_whole
from . import facts
from .comparison import Comparison, comparisons
from .curves import course_curves, learning_curves
from .folder_files import folder_section
from .images import embedded, read_picture
from .page import Page, RunView
from .run import TASK_TITLES, Run, names_of, read_run
from .run_files import confusion_of, find_runs, log_folders, reconstructions_of
from .sections import Picture, Section

#: The most bytes of a report: what mail takes everywhere.
MOST = 5_000_000
#: Points of a line, the first number with which the page without pictures has at most so many bytes.
_POINTS, _WITHOUT_PICTURES = (300, 150, 60), MOST // 2
#: Pictures of reconstructions through training.
_SHEETS = 5

RunLike = str | os.PathLike


@dataclass(frozen=True)
class ReportResult:
    """A report that was written. It stands for its path.

    Attributes:
        path: the HTML file.
        runs: how many runs it shows.
        size: its bytes.
        left_out: what did not fit, a sentence each.
    """

    path: Path
    runs: int
    size: int
    left_out: tuple[str, ...] = ()

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        count = f'{self.runs} run{"s" if self.runs != 1 else ""}'
        return '\n'.join([f'{count}: {shown(self.path)}, {self.size / 1e6:.2f} MB', *self.left_out])


@python_call
def report(
    runs: RunLike | Sequence[RunLike],
    out: str | os.PathLike,
    *,
    evaluate: bool = False,
    pictures: int = 12,
    device: str | None = None,
    verbose: bool = False,
) -> ReportResult:
    """Write a report of runs: what each is, its results and curves, and how the runs of a task compare.

    Args:
        runs: one or several: the work_dir of a training, a checkpoint in one, what ``pretrain`` and ``finetune`` gave
            back, or a folder of work_dirs, such as ``work_dirs/quickstart``.
        out: file to write, ``.html``; below 5 MB.
        evaluate: also predict the images of the run's validation data: minutes, and the data must be there.
        pictures: the most of an evaluation, and of those that a folder of runs has.
        device: for ``evaluate``: 'cpu', 'cuda', ...; None for a GPU if there is one.
        verbose: whether all of what is logged is shown (:mod:`mae_transfer.runs.console`).

    Raises:
        UserError: no run in a path; files of a run that cannot be read; more runs than fit; what an evaluation raises.
    """
    if not is_whole(pictures, 0):
        raise UserError(f'pictures is a number, 0 or more; found {pictures!r}')
    paths = [runs] if isinstance(runs, (str, os.PathLike)) else list(runs)
    if not paths:
        raise UserError('a report needs a run: give the work_dir of a training')
    path = user_path(out, 'out')
    if path.suffix.lower() not in ('.html', '.htm'):
        raise UserError(f"out: a report is a file .html; found '{shown(path)}'")
    found = find_runs(paths)
    output_file(path, 'out')
    read = [read_run(run, name) for run, name in zip(progress(found, 'runs read'), names_of(found))]
    evaluated, failed = _all_evaluated(read, pictures, device) if evaluate else ([[] for _ in read], [])
    folders = [folder_section(folder, pictures) for folder in _folders(paths)]
    text, left_out = _written(read, evaluated, [section for section in folders if section is not None])
    with written_whole(path) as file:
        file.write(text)
    return ReportResult(path, len(read), len(text), (*failed, *left_out))


def _folders(paths: Iterable[RunLike]) -> list[Path]:
    """Those of the paths that are folders of runs."""
    given = [user_path(path, 'run') for path in paths]
    return [path for path in given if path.is_dir() and not log_folders(path)]


def _all_evaluated(runs: Sequence[Run], pictures: int, device: str | None) -> tuple[list[list[Section]], list[str]]:
    """What the runs predict, and a line for each that cannot be evaluated, such as one whose data is gone.

    Raises:
        UserError: no run can be evaluated; that of the first.
    """
    from .evaluated import evaluated_sections  # here, because it imports all that predicts

    found, errors = list[list[Section]](), dict[str, UserError]()
    for run in runs:
        try:
            found.append(evaluated_sections(run.found.weights, pictures, device))
        except UserError as error:
            errors[run.name] = error
            found.append([Section('Not evaluated', own_line(error))])
    if len(errors) == len(runs):
        raise next(iter(errors.values()))
    return found, [f'{name} is not evaluated: {own_line(error)}' for name, error in errors.items()]


def _written(
    runs: Sequence[Run], evaluated: Sequence[Sequence[Section]], folders: Sequence[Section]
) -> tuple[bytes, tuple[str, ...]]:
    """The page below :data:`MOST` bytes, and what it lacks."""
    names = facts.by_folder(runs)
    for points in _POINTS:
        views = [_view(number, run, more, points, names) for number, (run, more) in enumerate(zip(runs, evaluated), 1)]
        compared = comparisons(runs)
        page = Page(_title(runs), _lead(views, compared), compared, folders, views)
        shown_pictures = [picture.image for picture in page.pictures()]
        size = len(page.html([None] * len(shown_pictures)).encode())
        if size <= _WITHOUT_PICTURES:
            break
    if size > MOST:
        raise UserError(f'a report of {len(runs)} runs would have {size / 1e6:.1f} MB: give fewer runs')
    images = embedded(shown_pictures, MOST - size - 1000)
    missing = sum(image is None for image in images)
    left_out = (f'{missing} of {len(images)} pictures are left out, to stay below 5 MB.',) if missing else ()
    return page.html(images, left_out).encode(), left_out


def _title(runs: Sequence[Run]) -> str:
    tasks = list(dict.fromkeys(TASK_TITLES[run.task] for run in runs))
    if len(runs) == 1:
        return f'{runs[0].name}: {tasks[0]}'
    return f'{len(runs)} runs: {", ".join(tasks)}'


def _lead(views: Sequence[RunView], compared: Sequence[Comparison]) -> Sequence[tuple[str, bool]]:
    """What came out, in a few lines, and whether each warns."""
    return views[0].verdict if len(views) == 1 else [(f'{one.title}: {one.text}', False) for one in compared]


def _view(number: int, run: Run, evaluated: Sequence[Section], points: int, names: Mapping[Path, str]) -> RunView:
    known = dict(facts.facts_of(run))
    metric = next((metric for metric in run.metrics if run.result(metric)), None)
    result = run.result(metric) if metric is not None else None
    return RunView(
        anchor=f'run-{number}',
        name=run.name,
        task=known['task'],
        result=f'{metric.title} {metric.text(result[0])}' if metric and result else 'not measured',
        start=facts.start_of(run, names),
        state=known['state'],
        unfinished=facts.is_unfinished(run),
        verdict=facts.verdict_of(run),
        published=facts.published_line(run),
        facts=list(known.items()),
        notes=run.course.notes,
        sections=[*_sections(run, points), *evaluated, *_course(run, points)],
        command=facts.command_of(run),
        changed=facts.changed_table(run),
        environment=facts.environment_of(run),
        config=run.config_text or 'not stored',
    )


def _sections(run: Run, points: int) -> list[Section]:
    found = []
    if table := facts.results_table(run):
        found.append(Section('Results', parts=(table,)))
    if curves := learning_curves(run, points):
        found.append(Section('Learning', parts=tuple(curves)))
    if sheets := reconstructions_of(run.found.folder):
        chosen = [sheets[number] for number in evenly(len(sheets), _SHEETS)]
        parts = tuple(Picture(read_picture(path), _when(path)) for path in chosen)
        text = (
            'The same held-out photos and masks each time. In each picture, from left to right: what the model sees, '
            'what it paints, the photo.'
        )
        if len(chosen) < len(sheets):
            text += f' {len(chosen)} of {len(sheets)} pictures.'
        found.append(Section('Reconstructions through training', text, parts))
    if (confusion := confusion_of(run.found.folder)) is not None:
        caption = 'A row for each true class, a column for each predicted one.'
        found.append(Section('Confusion of classes', parts=(Picture(read_picture(confusion), caption),)))
    return found


def _course(run: Run, points: int) -> list[Section]:
    curves = course_curves(run, points)
    return [Section('Learning rate, gradients, speed and memory', parts=tuple(curves))] if curves else []


def _when(path: Path) -> str:
    return 'the trained model' if path.stem == 'last' else path.stem.replace('_', ' ')
