"""Log the loss of the whole batch instead of one process's share of it."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class GlobalLossHook(Hook):
    """Average the outputs of a training step over all processes before they are logged.

    Every process must report the same names. Each iteration costs one reduction of a few numbers.
    """

    priority = 'HIGHEST'  # before RuntimeInfoHook, which passes the values to the log

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Replace the scalar tensors in ``outputs`` by their mean over the processes."""
        if get_world_size() == 1 or not outputs:
            return
        names = sorted(
            name for name, value in outputs.items() if isinstance(value, torch.Tensor) and value.numel() == 1
        )
        values = torch.stack([outputs[name].detach().float().reshape(()) for name in names])
        all_reduce(values, op='mean')
        outputs.update(zip(names, values))
