"""The curves of a run: losses and evaluations; learning rate, gradients, speed, memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from .plots import line_plot, thinned
from .run import Run
from .sections import Plot

Series = dict[str, list[tuple[float, float]]]

#: What the lines of training have beside losses.
_PLACES = ('epoch', 'iter', 'step')
_OTHERS = (
    'lr',
    'base_lr',
    'time',
    'data_time',
    'memory',
    'grad_norm',
    'images_per_second',
    'waiting_share',
    'matrix_share',
)
#: What a reader has to know of some evaluations.
_CAPTIONS = {
    'learning/rank_me': 'RankMe: how many directions the features of held-out photos use; at 1 they have collapsed.',
    'knn': 'Accuracy of k nearest neighbours on the frozen ViT, per cent.',
    'probe': 'Accuracy of a linear classifier on the frozen ViT, per cent.',
}
#: Lines of one plot.
_MOST_LINES = 8


def learning_curves(run: Run, points: int) -> list[Plot]:
    """The curves that say whether a run learns: losses, and what its evaluations measured.

    Args:
        points: the most that a line has.
    """
    losses = {key: line for key, line in _lines(run).items() if key not in (*_PLACES, *_OTHERS)}
    held_out = run.held_out_loss if run.task == 'pretrain' else None
    both = {'training': losses.pop('loss', []), 'held-out photos': _validation(run, held_out) if held_out else []}
    found = [_plot(run, points, both, 'loss', _loss_caption(run, held_out))]
    for title, keys in evaluations(run, held_out).items():
        caption = _CAPTIONS.get(title, f'Evaluated while training: {title}.')
        found.append(_plot(run, points, {_short(key, title): _validation(run, key) for key in keys}, title, caption))
    parts = {key: line for key, line in losses.items() if 'loss' in key}
    for some in _few(list(parts)):
        found.append(_plot(run, points, {key: parts[key] for key in some}, 'loss', 'Parts of the training loss.'))
    for key, line in losses.items():
        if key not in parts:
            found.append(_plot(run, points, {key: line}, key, f'{key}, in training.'))
    return [plot for plot in found if plot is not None]


def course_curves(run: Run, points: int) -> list[Plot]:
    """The curves of how a run went: learning rate, gradients, speed, memory.

    Args:
        points: the most that a line has.
    """
    lines = _lines(run)
    rates = {'of the first layer (lr)': 'lr', 'before layer-wise decay (base_lr)': 'base_lr'}
    if lines.get('lr') == lines.get('base_lr'):
        rates = {'learning rate': 'lr'}
    gradients = lines.get('grad_norm', [])
    shares = {'waiting for data': 'waiting_share', 'rate of matrix products': 'matrix_share'}
    found = [
        _plot(
            run, points, {title: lines.get(key, []) for title, key in rates.items()}, 'learning rate', 'Learning rate.'
        ),
        _plot(run, points, {'norm': gradients}, 'gradient norm', 'Norm of the gradients.', _is_wide(gradients)),
        _plot(
            run,
            points,
            {'images/s': lines.get('images_per_second', [])},
            'images/s',
            'Images trained on in a second, by all processes together.',
        ),
        _plot(
            run,
            points,
            {title: [(x, 100 * y) for x, y in lines.get(key, [])] for title, key in shares.items()},
            'per cent',
            'Share of the time that training waited for data, and how much of the fastest rate of matrix products on '
            'this device it reached.',
        ),
        _plot(
            run,
            points,
            {'memory': [(x, y / 1024) for x, y in lines.get('memory', [])]},
            'GB',
            'The most memory so far: of the GPU, or of the process where there is none.',
        ),
    ]
    return [plot for plot in found if plot is not None]


def _plot(run: Run, points: int, series: Series, y: str, caption: str, log: bool = False) -> Plot | None:
    shown = {name: thinned(line, points) for name, line in series.items() if line}
    return Plot(line_plot(shown, run.unit, y, log=log), caption) if shown else None


def _lines(run: Run) -> Series:
    """The values of training by their names."""
    keys = dict.fromkeys(key for line in run.course.training for key in line)
    return {key: [(run.place(line['iter']), line[key]) for line in run.course.training if key in line] for key in keys}


def evaluations(run: Run, without: str | None = None) -> dict[str, list[str]]:
    """The evaluations that are drawn together, by a title: those whose names begin alike, a few at once."""
    groups: dict[str, list[str]] = {}
    for key in run.validation_keys:
        if key == without:
            continue
        head = key.partition('/')[0] if '/' in key else key
        if '_mAP' in key:  # coco/bbox_mAP, coco/bbox_mAP_50, ...
            head = key.partition('_mAP')[0]
        groups.setdefault(head, []).append(key)
    # Figures of one kind that have no beginning in common: mIoU, mAcc, aAcc.
    alone = [head for head, keys in groups.items() if keys == [head]]
    if len(alone) > 1:
        groups['evaluation'] = [groups.pop(head)[0] for head in alone]
    found: dict[str, list[str]] = {}
    for head, keys in groups.items():
        if len(keys) == 1:
            found[keys[0]] = keys
            continue
        for number, some in enumerate(_few(keys)):
            found[head if number == 0 else f'{head} {number + 1}'] = some
    return found


def _few(keys: Sequence[str]) -> list[list[str]]:
    return [list(keys[start : start + _MOST_LINES]) for start in range(0, len(keys), _MOST_LINES)]


def _short(key: str, title: str) -> str:
    return key.removeprefix(f'{title}/').removeprefix(f'{title}_') or key


def _validation(run: Run, key: str) -> list[tuple[float, float]]:
    return sorted(run.validated(key).items())


def _is_wide(points: Sequence[tuple[float, float]]) -> bool:
    """Whether values spread so far that a linear axis would hide the small ones."""
    values = [y for _, y in points if math.isfinite(y) and y > 0]
    return bool(values) and max(values) > 30 * min(values)


def _loss_caption(run: Run, held_out: str | None) -> str:
    measured: Mapping[float, float] = run.validated(held_out) if held_out else {}
    caption = 'Loss of training' + (f', and of photos that are not trained on ({held_out})' if measured else '')
    missing = sum(not math.isfinite(line['loss']) for line in run.course.training if 'loss' in line)
    return f'{caption}.' + (f' {missing} lines had a loss that is no number: gaps.' if missing else '')
