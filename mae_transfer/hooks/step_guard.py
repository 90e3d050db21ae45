"""Steps that are not finite: left out, counted, and kept to be run again; losses that jump."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UserError, is_number, is_whole
from ..optim import AutocastOptimWrapper
from ..registry import HOOKS
from ..runs.host_copy import HostCopy
from ..runs.items import items_of

#: The folder below the work_dir with the steps that were left out.
FOLDER = 'steps_not_finite'

#: How many of them are kept: each is as large as a checkpoint.
_KEPT = 3


class _Step(NamedTuple):
    """A step of the optimiser: the iterations that it was made of, from and to, and what came out."""

    begin: int
    end: int
    losses: list[Tensor]
    grad_norm: Tensor
    is_skipped: HostCopy


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
        self._last: _Step | None = None  # that was not looked at

    def before_train(self, runner: Runner) -> None:
        """Raise ``UserError`` for an optimiser wrapper that makes every step."""
        if not isinstance(runner.optim_wrapper, AutocastOptimWrapper):
            raise UserError(
                "StepGuardHook needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper', which leaves out steps; "
                f"found '{type(runner.optim_wrapper).__name__}': choose it, or set default_hooks.step_guard=None"
            )
        runner.optim_wrapper.before_step = partial(self._look, runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Note the statistics of batch norms where a step begins."""
        if runner.optim_wrapper.should_update():
            norms = [module for module in runner.model.modules() if isinstance(module, _BatchNorm)]
            self._statistics = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
            self._losses = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Set the statistics of batch norms back if the step was left out, and look at it; raises as ``_look``."""
        loss = (outputs or {}).get('loss')
        if isinstance(loss, Tensor):
            self._losses.append(loss.detach())
        wrapper = runner.optim_wrapper
        if not wrapper.should_update():
            return
        with torch.no_grad():
            for buffer, before in self._statistics:
                buffer.copy_(torch.where(wrapper.is_skipped.to(buffer.device), before, buffer))
        end, passes = runner.iter + 1, max(1, len(self._losses))
        self._last = _Step(end - passes, end, self._losses, wrapper.grad_norm, HostCopy(wrapper.is_skipped))
        if self._last.is_skipped.is_there:
            self._look(runner)

    def after_train(self, runner: Runner) -> None:
        """Look at the last step."""
        self._look(runner)

    def _look(self, runner: Runner) -> None:
        """Look at the last step, at once or, on a GPU, before the next one changes the weights.

        Raises:
            UserError: ``most`` steps in a row were left out.
        """
        step, self._last = self._last, None
        if step is None:
            return
        if not step.is_skipped.read():
            self._in_row = 0
            runner.deferred_scalars.add({'train/grad_norm': step.grad_norm})
            self._look_for_jump(runner, step)
            return
        if runner.optim_wrapper.is_searching_scale:
            return
        self._in_row, self._in_all = self._in_row + 1, self._in_all + 1
        again = f'; tools/replay.py {self._keep(runner, step)} runs it again' if self._in_all <= _KEPT else ''
        runner.logger.warning(
            f'step left out, {self._in_row} in a row: the gradients after iteration {step.end} are not finite{again}'
        )
        if self._in_row == self.most:
            raise UserError(
                f'{self.most} steps in a row are not finite, the last after iteration {step.end}: lower base_lr, clip '
                'gradients (optim_wrapper.clip_grad.max_norm=1), or use --amp bf16 or off; then --resume from the last '
                'checkpoint'
            )

    def _keep(self, runner: Runner, step: _Step) -> Path:
        """Write the run as it was before the step, which changed nothing, and what the step was made of."""
        loader = runner.train_dataloader
        own = [items_of(loader, iteration) for iteration in range(step.begin, step.end)]
        made_of = dict(
            iterations=step.end - step.begin,
            items=all_gather_object(own),  # of each process: of each forward pass
            losses=[float(loss) for loss in step.losses],
            grad_norm=float(step.grad_norm),
        )
        epoch = step.begin // len(loader) if isinstance(runner.train_loop, EpochBasedTrainLoop) else runner.epoch
        path = Path(runner.work_dir, FOLDER, f'iter_{step.begin}.pth')
        path.parent.mkdir(exist_ok=True)
        with runner.heartbeat.pause():
            runner.checkpoint_writer(str(path), dict(epoch=epoch, iter=step.begin, step=made_of))()
        return path

    def _look_for_jump(self, runner: Runner, step: _Step) -> None:
        """Compare the mean loss of the last steps with the lowest such mean, once for each ``window`` steps."""
        self._recent += step.losses[-1:]
        if self.spike is None or len(self._recent) < self.window:
            return
        mean, self._recent = float(torch.stack(self._recent).mean()), []
        if self._lowest is not None and mean > self.spike * self._lowest > 0:
            runner.logger.warning(
                f'the loss jumped: {mean:.4g} on average of {self.window} steps up to iteration {step.end}; the lowest '
                f'such mean was {self._lowest:.4g}'
            )
        self._lowest = mean if self._lowest is None else min(mean, self._lowest)
