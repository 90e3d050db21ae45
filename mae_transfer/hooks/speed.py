"""How fast a training is, in its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..errors import UserError, is_whole
from ..optim import AutocastOptimWrapper
from ..registry import HOOKS
from ..runs.compiling import eager
from ..runs.loops import EpochBasedTrainLoop, IterBasedTrainLoop
from ..runs.speed import FlopCount, WaitingTime, matrix_rate


@HOOKS.register_module()
class SpeedHook(Hook):
    """Log images per second, the share of time spent waiting for data, and the share of the rate of matrix products.

    Each is of the time since the line before; validations do not count, and neither do the first steps of a run or
    after a resume. They are

    - ``images_per_second``: of all processes together.
    - ``waiting_share``, 0 to 1: of the main process (:class:`~mae_transfer.runs.speed.WaitingTime`).
    - ``matrix_share``, 0 to 1: FLOP/s of the training, over the FLOP/s of a large matrix product of the same type on
      the same device, measured before training. FLOPs are those of matrix products, attention and convolutions in the
      first forward and backward pass, in proportion to the images of the others; what gradient checkpointing computes
      again counts.

    Nothing is waited for in a step.

    Args:
        warm_up: first forward passes that are not measured.

    Raises:
        UserError: ``warm_up`` below 1.
    """

    def __init__(self, warm_up: int = 3) -> None:
        if not is_whole(warm_up, 1):
            raise UserError(f'SpeedHook.warm_up is a number of forward passes, 1 or more; found {warm_up!r}')
        self.warm_up = warm_up
        self._passes = self._images = 0
        self._began = self._paused_at = 0.0
        self._counter: FlopCount | None = None
        self._flops_of_image = 0.0
        self._waiting: WaitingTime | None = None

    def before_train(self, runner: Runner) -> None:
        """Measure the rate of a matrix product, and prepare to count."""
        self._passes, self._flops_of_image, self._counter = 0, 0.0, FlopCount()
        wrapper = runner.optim_wrapper
        dtype = wrapper.dtype if isinstance(wrapper, AutocastOptimWrapper) else torch.get_default_dtype()
        self._rate = matrix_rate(get_device(), dtype)
        if isinstance(runner.train_loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
            self._waiting = runner.train_loop.waiting = WaitingTime(get_device())
        _replace_once(runner.model, 'train_step', self._counted)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Count the images."""
        images = _images_of(data_batch, runner)
        if self._counter is not None:
            self._flops_of_image, self._counter = self._counter.flops / images, None
            if not self._flops_of_image:
                runner.logger.info(
                    'matrix_share is left out of the log: no matrix product, attention or convolution of a step can be '
                    'counted'
                )
        self._passes += 1
        if self._passes == self.warm_up:
            self._begin()
        elif self._passes > self.warm_up:
            self._images += images

    def before_val(self, runner: Runner) -> None:
        """Stop the clock."""
        self._paused_at = time.perf_counter()

    def after_val(self, runner: Runner) -> None:
        """Let it go on."""
        self._began += time.perf_counter() - self._paused_at

    def before_log(self, runner: Runner) -> None:
        """Hand the averages since the last time over to the message hub, and begin again."""
        if self._passes <= self.warm_up or not self._images:
            return
        seconds = time.perf_counter() - self._began
        speed = self._images / seconds
        found = dict(images_per_second=speed * get_world_size())
        if self._waiting is not None:
            found['waiting_share'] = min(1.0, self._waiting.take() / seconds)
        if self._flops_of_image:
            found['matrix_share'] = self._flops_of_image * speed / self._rate
        for name, value in found.items():
            # Not kept in checkpoints: a resumed run would show them before it has its own.
            runner.message_hub.update_scalar(f'train/{name}', value, resumed=False)
        self._begin()

    def _begin(self) -> None:
        self._began, self._images = time.perf_counter(), 0
        if self._waiting is not None:
            self._waiting.take()

    def _counted(self, step: Callable, *args: Any, **kwargs: Any) -> Any:
        """A training step, counted."""
        # Under a dispatch mode nothing can be compiled.
        with eager(), self._counter or FlopCount():
            return step(*args, **kwargs)


def _replace_once(owner: Any, name: str, replacement: Callable) -> None:
    """Have the next call of a method of an object go to ``replacement(method, *arguments)``."""
    method, is_own = getattr(owner, name), name in vars(owner)

    def once(*args: Any, **kwargs: Any) -> Any:
        if is_own:
            setattr(owner, name, method)
        else:
            delattr(owner, name)
        return replacement(method, *args, **kwargs)

    setattr(owner, name, once)


def _images_of(batch: Any, runner: Runner) -> int:
    """How many images a batch has."""
    inputs = batch.get('inputs') if isinstance(batch, dict) else None
    return len(inputs) if inputs is not None else runner.train_dataloader.batch_size or 1
