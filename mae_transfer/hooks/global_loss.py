"""The loss of the whole batch in the log, not one process's share of it."""

from __future__ import annotations

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook

from ..registry import HOOKS


@HOOKS.register_module()
class GlobalLossHook(Hook):
    """Average what a training step reports over all processes, before it is logged.

    Every process must report the same names; one reduction of a few numbers an iteration.
    """

    priority = 'HIGHEST'  # before RuntimeInfoHook hands the values to the log

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        """Replace the scalar tensors in ``outputs`` by their mean over the processes."""
        if get_world_size() == 1 or not outputs:
            return
        names = sorted(
            name for name, value in outputs.items() if isinstance(value, torch.Tensor) and value.numel() == 1
        )
        values = torch.stack([outputs[name].detach().float().reshape(()) for name in names])
        all_reduce(values, op='mean')
        outputs.update(zip(names, values))
