"""The curves of a run: losses, evaluations, learning rate, speed, memory, gradients."""

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
#: Evaluations that are drawn together: by the beginning of their names.
_MOST_LINES = 8


def curves_of(run: Run, points: int) -> list[Plot]:
    """The curves of a run, those first that say whether it learns.

    Args:
        points: the most that a line has.
    """
    training = {key: _training(run, key) for key in dict.fromkeys(key for line in run.course.training for key in line)}
    drawn: list[Plot] = []

    def draw(series: Series, y: str, caption: str, log: bool = False) -> None:
        shown = {name: thinned(line, points) for name, line in series.items() if line}
        if shown:
            drawn.append(Plot(line_plot(shown, run.unit, y, log=log), caption))

    losses = {key: line for key, line in training.items() if key not in (*_PLACES, *_OTHERS)}
    held_out = run.held_out_loss if run.task == 'pretrain' else None
    draw(
        {'training': losses.pop('loss', []), 'held-out photos': _validation(run, held_out) if held_out else []},
        'loss',
        _loss_caption(run, held_out),
    )
    for title, keys in evaluations(run, held_out).items():
        draw({_short(key, title): _validation(run, key) for key in keys}, title, f'Evaluated while training: {title}.')
    parts = {key: line for key, line in losses.items() if 'loss' in key}
    for some in _few(list(parts)):
        draw({key: parts[key] for key in some}, 'loss', 'Parts of the training loss.')
    others = {key: line for key, line in losses.items() if key not in parts}
    for key, line in others.items():
        draw({key: line}, key, f'{key}, in training.')
    rates = {'lr': 'of the first layer (lr)', 'base_lr': 'before layer-wise decay (base_lr)'}
    if training.get('lr') == training.get('base_lr'):
        rates = {'lr': 'learning rate'}
    draw({title: training.get(key, []) for key, title in rates.items()}, 'learning rate', 'Learning rate.')
    gradients = training.get('grad_norm', [])
    draw({'norm': gradients}, 'gradient norm', 'Norm of the gradients, before clipping.', _is_wide(gradients))
    draw(
        {'images/s': training.get('images_per_second', [])}, 'images/s', 'Images trained on in a second, all processes.'
    )
    shares = {'waiting for data': 'waiting_share', 'rate of matrix products': 'matrix_share'}
    draw(
        {title: [(x, 100 * y) for x, y in training.get(key, [])] for title, key in shares.items()},
        'per cent',
        "Share of the time that training waited for data, and of the device's rate of matrix products that it used.",
    )
    draw(
        {'memory': [(x, y / 1024) for x, y in training.get('memory', [])]},
        'GB',
        'The most memory that was used so far: of the GPU, or of the process where there is none.',
    )
    return drawn


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


def _training(run: Run, key: str) -> list[tuple[float, float]]:
    return [(run.place(line['iter']), line[key]) for line in run.course.training if key in line]


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
