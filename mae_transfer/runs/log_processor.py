"""The line that a training logs."""

from __future__ import annotations

import datetime
import re
from typing import Any

from mmengine.runner import Runner, log_processor

from ..registry import LOG_PROCESSORS
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
        head = re.match(r'.*?/\d+\]', line)
        assert head is not None
        named = {name.removeprefix('train/'): value for name, value in values.items()}
        left = runner.message_hub.runtime_info.get('eta')
        return values, ' '.join([head[0], *train_items(named, left, self.num_digits)])


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
    if speed := values.get('images_per_second'):
        parts.append(f'{speed:.0f} images/s' if speed >= 99.5 else f'{speed:.3g} images/s')
    elif 'time' in values:  # not measured yet, or by no SpeedHook
        parts.append(f'{values["time"]:.3g} s/iteration')
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
