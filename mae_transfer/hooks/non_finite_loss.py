"""Stop a run whose loss is not finite, before a checkpoint is written from it."""

from __future__ import annotations

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from ..errors import UserError
from ..registry import HOOKS

_NEVER = torch.iinfo(torch.int64).max


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Check every loss, and stop the run if one is NaN or infinite.

    Checks are computed on the device. Their result is read, which waits for the device, only every ``interval``
    iterations and before a checkpoint is saved, so no checkpoint is written after a loss that is not finite.

    Args:
        interval: iterations between two reads of the result.
    """

    priority = 'ABOVE_NORMAL'  # before CheckpointHook

    def __init__(self, interval: int = 50):
        self.interval = interval
        #: on the device: number of the first iteration, counted from 1, whose loss was not finite; or ``_NEVER``
        self.first_bad: torch.Tensor | None = None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Check this iteration's loss on the device, and read the result if it is time."""
        loss = (outputs or {}).get('loss')
        if not isinstance(loss, torch.Tensor):
            return
        if self.first_bad is None:
            self.first_bad = torch.tensor(_NEVER, device=loss.device)
        bad = torch.where(torch.isfinite(loss.detach()).all(), _NEVER, runner.iter + 1)
        self.first_bad = torch.minimum(self.first_bad, bad)
        if self.every_n_train_iters(runner, self.interval) or self._checkpoint_follows(runner):
            self.check()

    def _checkpoint_follows(self, runner: Runner) -> bool:
        """Whether a checkpoint is saved after this iteration by a hook that counts iterations."""
        hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and not hook.by_epoch]
        return any(self.every_n_train_iters(runner, hook.interval) or self.is_last_train_iter(runner) for hook in hooks)

    def after_train_epoch(self, runner: Runner) -> None:
        """Read the result before the checkpoint of the epoch is saved."""
        self.check()

    def check(self) -> None:
        """Read the result from the device.

        Raises:
            UserError: some loss was not finite.
        """
        if self.first_bad is None or (iteration := self.first_bad.item()) == _NEVER:
            return
        raise UserError(
            f'the loss of iteration {iteration} is not finite: lower base_lr, clip gradients '
            '(optim_wrapper.clip_grad.max_norm=1), or use --amp bf16 or off; then --resume from the last checkpoint'
        )
