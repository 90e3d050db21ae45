"""Steps that are not finite: left out, counted, and kept to be run again; losses that jump."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UserError, is_number, is_whole
from ..optim import AutocastOptimWrapper
from ..registry import HOOKS
from ..runs.items import items_of

#: The folder below the work_dir with the steps that were left out.
FOLDER = 'steps_not_finite'

#: How many of them are kept: each is as large as a checkpoint.
_KEPT = 3


@HOOKS.register_module()
class StepGuardHook(Hook):
    """Tell which steps were left out because their gradients were not finite, keep them, and end a run of many.

    :class:`~mae_transfer.optim.AutocastOptimWrapper` leaves out such a step, on all processes alike. The running
    statistics of batch norms are set back to those before it. What ``tools/replay.py`` needs to run it again is written
    to ``steps_not_finite/`` below the work_dir, for the first three of a run. The norm of the gradients is logged as
    ``grad_norm``.

    Args:
        most: steps in a row that are left out before the run ends.
        spike: a loss is told as a jump if it is this many times as large as the lowest so far, each averaged over
            ``window`` steps; None: never.
        window: steps of the optimiser.

    Raises:
        UserError: ``most`` or ``window`` below 1, ``spike`` not above 1.
    """

    priority = 'ABOVE_NORMAL'  # before the log and CheckpointHook

    def __init__(self, most: int = 5, spike: float | None = 3.0, window: int = 50):
        for name, steps in dict(most=most, window=window).items():
            if not is_whole(steps, 1):
                raise UserError(f'StepGuardHook.{name} is a number of steps, 1 or more; found {steps!r}')
        if spike is not None and not (is_number(spike) and spike > 1):
            raise UserError(f'StepGuardHook.spike is a factor above 1, or None for never; found {spike!r}')
        self.most, self.spike, self.window = most, spike, window
        self._in_row = self._in_all = 0
        self._statistics: list[tuple[Tensor, Tensor]] = []
        self._losses: list[Tensor] = []  # of the forward passes since the last step
        self._recent: list[Tensor] = []  # of the steps since the last look
        self._lowest: float | None = None

    def before_train(self, runner: Runner) -> None:
        """Raise ``UserError`` for an optimiser wrapper that makes every step."""
        if not isinstance(runner.optim_wrapper, AutocastOptimWrapper):
            raise UserError(
                "StepGuardHook needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper', which leaves out steps; "
                f"found '{type(runner.optim_wrapper).__name__}': choose it, or set default_hooks.step_guard=None"
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Note the statistics of batch norms where a step begins."""
        if runner.optim_wrapper.should_update():
            norms = [module for module in runner.model.modules() if isinstance(module, _BatchNorm)]
            self._statistics = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
            self._losses = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Look at the step that was made, or left out.

        Raises:
            UserError: ``most`` steps in a row were left out.
        """
        loss = (outputs or {}).get('loss')
        if isinstance(loss, Tensor):
            self._losses.append(loss.detach())
        wrapper = runner.optim_wrapper
        if not wrapper.should_update():
            return
        if not wrapper.is_skipped:
            self._in_row = 0
            runner.message_hub.update_scalar('train/grad_norm', wrapper.grad_norm)
            self._look_for_jump(runner)
            return
        with torch.no_grad():
            for buffer, before in self._statistics:
                buffer.copy_(before)
        if wrapper.is_searching_scale:
            return
        self._in_row, self._in_all = self._in_row + 1, self._in_all + 1
        again = f'; tools/replay.py {self._keep(runner)} runs it again' if self._in_all <= _KEPT else ''
        runner.logger.warning(
            f'step left out, {self._in_row} in a row: the gradients after iteration {runner.iter + 1} are not '
            f'finite{again}'
        )
        if self._in_row == self.most:
            raise UserError(
                f'{self.most} steps in a row are not finite, the last after iteration {runner.iter + 1}: lower '
                'base_lr, clip gradients (optim_wrapper.clip_grad.max_norm=1), or use --amp bf16 or off; then --resume '
                'from the last checkpoint'
            )

    def _keep(self, runner: Runner) -> Path:
        """Write the run as it was before the step, which changed nothing, and what the step was made of."""
        end, loader = runner.iter + 1, runner.train_dataloader
        begin = end - max(1, len(self._losses))
        own = [items_of(loader, iteration) for iteration in range(begin, end)]
        step = dict(
            iterations=end - begin,
            items=all_gather_object(own),  # of each process: of each forward pass
            losses=[float(loss) for loss in self._losses],
            grad_norm=float(runner.optim_wrapper.grad_norm),
        )
        epoch = begin // len(loader) if isinstance(runner.train_loop, EpochBasedTrainLoop) else runner.epoch
        path = Path(runner.work_dir, FOLDER, f'iter_{begin}.pth')
        path.parent.mkdir(exist_ok=True)
        with runner.heartbeat.pause():
            runner.checkpoint_writer(str(path), dict(epoch=epoch, iter=begin, step=step))()
        return path

    def _look_for_jump(self, runner: Runner) -> None:
        """Compare the mean loss of the last steps with the lowest such mean, once for each ``window`` steps."""
        self._recent += self._losses[-1:]
        if self.spike is None or len(self._recent) < self.window:
            return
        mean, self._recent = float(torch.stack(self._recent).mean()), []
        if self._lowest is not None and mean > self.spike * self._lowest > 0:
            runner.logger.warning(
                f'the loss jumped: {mean:.4g} on average of {self.window} steps up to iteration {runner.iter + 1}; the '
                f'lowest such mean was {self._lowest:.4g}'
            )
        self._lowest = mean if self._lowest is None else min(mean, self._lowest)
