"""Log the loss of the whole batch instead of one process's share of it, without waiting for the device."""

from __future__ import annotations

from mmengine.hooks import RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from ..registry import HOOKS


@HOOKS.register_module()
class GlobalLossHook(RuntimeInfoHook):
    """MMEngine's ``RuntimeInfoHook``, in its place, except how the outputs of a training step come to the log.

    They stay on the device until a line is made, a checkpoint is written or a validation begins, and are then averaged
    over all processes (:class:`~mae_transfer.runs.deferred_scalars.DeferredScalars`). The values of each step are those
    that the other hook has. Every process must report the same names.
    """

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Keep the scalar tensors in ``outputs`` for the log, and hand over other values at once."""
        outputs = outputs or {}
        scalars = {name: value for name, value in outputs.items() if isinstance(value, Tensor) and value.numel() == 1}
        runner.deferred_scalars.add({f'train/{name}': scalars[name] for name in sorted(scalars)}, average=True)
        others = {name: value for name, value in outputs.items() if name not in scalars}
        super().after_train_iter(runner, batch_idx, data_batch, others)
