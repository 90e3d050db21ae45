"""The line that a training logs."""

from __future__ import annotations

import datetime
import re
from numbers import Real
from typing import Any

from mmengine.runner import Runner, log_processor

from ..progress import duration
from ..registry import LOG_PROCESSORS
from .console import GLUE, INDENT, WIDTH
from .speed import peak_memory

#: Shown first, in other words, or replaced by what is shown.
_SHOWN = ('loss', 'lr', 'base_lr', 'images_per_second', 'waiting_share', 'matrix_share', 'memory', 'time', 'data_time')


@LOG_PROCESSORS.register_module()
class LogProcessor(log_processor.LogProcessor):
    """MMEngine's ``LogProcessor`` with a shorter line for training; what goes to files and TensorBoard stays.

    Before it collects the values of a training, in all processes, it calls the hooks' ``before_log``.

    ``memory`` is also there without a GPU: the most that the process had so far, in MB.
    """

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """The values, and the line of text with them."""
        if mode == 'train':
            runner.call_hook('before_log')
        values, line = super().get_log_after_iter(runner, batch_idx, mode)
        if mode != 'train':
            return values, line
        values.setdefault('memory', peak_memory())
        left = runner.message_hub.runtime_info.get('eta')
        return values, ' '.join([_head(line), *train_items(_named(values), left, self.num_digits)])

    def console_line(self, runner: Runner, values: dict[str, Any], line: str) -> str:
        """The short form of a training's line, from what :meth:`get_log_after_iter` gave."""
        left = runner.message_hub.runtime_info.get('eta')
        return console_line(_head(line), _named(values), left, self.num_digits)


def _head(line: str) -> str:
    """'Epoch(train) [3][40/195]' of a line."""
    found = re.match(r'.*?/\d+\]', line)
    return line if found is None else found[0]


def _named(values: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix('train/'): value for name, value in values.items()}


def console_line(head: str, values: dict[str, Any], left: float | None, digits: int = 4) -> str:
    """A training's line for the console: loss, learning rate, images/s, share of waiting, memory, time left.

    The learning rate is that of the head where it differs by the depth. What does not fit into the columns is left out,
    the memory first.

    Args:
        head: what was done of how much.
        values: by their names.
        left: seconds to the end of the run; None where that is not known.
        digits: of the loss, after the point.
    """
    parts = {'head': head}
    if 'loss' in values:
        parts['loss'] = f'loss: {values["loss"]:.{digits}f}'
    if (rate := values.get('base_lr', values.get('lr'))) is not None:
        parts['lr'] = f'lr: {rate:.3g}'
    if speed := _speed(values, 'img/s'):
        parts['speed'] = speed
    if (waiting := values.get('waiting_share')) is not None:
        parts['waiting'] = f'wait {waiting:.0%}'
    parts['memory'] = f'{values["memory"] / 1024:.1f} GB'
    if left is not None:
        parts['left'] = f'left {duration(left)}'
    for name in ('memory', 'waiting'):
        if len(INDENT) + len(' '.join(parts.values())) > WIDTH:
            parts.pop(name, None)
    return ' '.join(parts.values())


def evaluation_line(line: str, values: dict[str, Any]) -> str:
    """The line of an evaluation for the console: its figures, without how long a batch took.

    Args:
        line: MMEngine's, of which the beginning is taken: 'Epoch(val) [3][10/10]'.
        values: by their names.
    """
    names = [name for name in values if name.rpartition('/')[2] not in ('time', 'data_time')]
    # An int may be one of NumPy's, which is no int of Python's.
    numbers = ((name, value) for name in names if isinstance(value := values[name], Real))
    figures = (f'{name}:{GLUE}{f"{value:.4f}" if isinstance(value, float) else value}' for name, value in numbers)
    return ' '.join([_head(line).replace(' ', GLUE), *figures])


def _speed(values: dict[str, Any], unit: str) -> str:
    if speed := values.get('images_per_second'):
        return f'{speed:.0f} {unit}' if speed >= 99.5 else f'{speed:.3g} {unit}'
    # Not measured yet, or by no SpeedHook.
    return f'{values["time"]:.3g} s/iteration' if 'time' in values else ''


def train_items(values: dict[str, Any], left: float | None, digits: int = 4) -> list[str]:
    """The parts of a training's line: loss and learning rate, speed, then everything else.

    Args:
        values: by their names.
        left: seconds to the end of the run.
        digits: after the point, of losses and of values without a unit.
    """
    parts = []
    if 'loss' in values:
        parts.append(f'loss: {values["loss"]:.{digits}f}')
    rate, base = values.get('lr'), values.get('base_lr')
    parts += [f'{name}: {value:.3g}' for name, value in (('lr', rate), ('base_lr', base)) if value is not None]
    if rate == base and rate is not None:
        parts.pop()
    if speed := _speed(values, 'images/s'):
        parts.append(speed)
    if (waiting := values.get('waiting_share')) is not None:
        parts.append(f'waiting {waiting:.0%}')
    parts.append(f'{values["memory"] / 1024:.1f} GB')
    if (share := values.get('matrix_share')) is not None:
        parts.append(f'matrix {100 * share:.{0 if share > 0.095 else 1}f}%')
    if left is not None:
        parts.append(f'left {datetime.timedelta(seconds=int(left))}')
    others = {name: value for name, value in values.items() if name not in (*_SHOWN, 'epoch', 'iter')}
    return parts + [
        f'{name}: {value:.{digits}f}' if isinstance(value, float) else f'{name}: {value}'
        for name, value in others.items()
    ]
