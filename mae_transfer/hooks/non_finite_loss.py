"""A loss that is not finite ends the run, before it ends in the checkpoints."""

from __future__ import annotations

import torch
from mmengine.hooks import CheckpointHook, Hook

from ..errors import UserError
from ..registry import HOOKS


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Look at every loss, and stop at the first that is NaN or infinite.

    The look is asynchronous: the device is asked only every ``interval`` iterations and before a checkpoint is saved,
    so none is written from a step after the failure.

    Args:
        interval: iterations between two questions.
    """

    priority = 'ABOVE_NORMAL'  # before CheckpointHook

    def __init__(self, interval: int = 50):
        self.interval = interval
        self.first_bad: torch.Tensor | None = None

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        """Note whether this step's loss is finite."""
        loss = (outputs or {}).get('loss')
        if not isinstance(loss, torch.Tensor):
            return
        never = torch.iinfo(torch.int64).max
        if self.first_bad is None:
            self.first_bad = torch.tensor(never, device=loss.device)
        now = torch.where(torch.isfinite(loss.detach()).all(), never, runner.iter + 1)
        self.first_bad = torch.minimum(self.first_bad, now)
        if self.every_n_train_iters(runner, self.interval) or self._checkpoint_follows(runner):
            self.check()

    def _checkpoint_follows(self, runner) -> bool:
        hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and not hook.by_epoch]
        return any(self.every_n_train_iters(runner, hook.interval) or self.is_last_train_iter(runner) for hook in hooks)

    def after_train_epoch(self, runner) -> None:
        """Ask before the epoch's checkpoint is saved."""
        self.check()

    def check(self) -> None:
        """Wait for the device's answer.

        Raises:
            UserError: some loss was not finite.
        """
        if self.first_bad is None or (iteration := self.first_bad.item()) == torch.iinfo(torch.int64).max:
            return
        raise UserError(
            f'the loss of iteration {iteration} is not finite: lower base_lr, clip gradients '
            '(optim_wrapper.clip_grad.max_norm=1), or use --amp bf16 or off; then --resume from the last checkpoint'
        )
