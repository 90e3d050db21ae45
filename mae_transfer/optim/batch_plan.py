"""Gradient accumulation and learning rate from one total batch size, for any number of GPUs.

Configs count iterations in optimiser steps, MMEngine in forward passes. The lengths of loops, schedulers and hooks that
count iterations are therefore multiplied by the accumulation, so that the optimiser makes as many steps as the recipe
says, on any machine; lengths in epochs stay. This changes what the runner builds, never the config.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EMAHook, Hook

from ..errors import UserError
from ..kinds import takes

#: The setting ``train_dataloader.batch_size`` that lets the memory of the devices decide.
AUTO = 'auto'
_LOOP_LENGTHS = ('max_iters', 'val_interval', 'val_begin')
_SCHEDULER_LENGTHS = (
    'begin',
    'end',
    'warmup',
    'T_max',
    'total_iters',
    'total_steps',
    'step_size',
    'milestones',
    'periods',
)


@dataclass(frozen=True)
class BatchPlan:
    """How a total batch is divided, and the learning rate that follows from it.

    Args:
        per_gpu: images per process and forward pass.
        processes: number of processes that train together.
        accumulation: forward passes per optimiser step.
        base_lr: learning rate per 256 images (linear scaling rule; MAE Table 8); None keeps the optimiser's own rate.
        reason: why ``per_gpu`` is what it is, if it was not stated.
    """

    per_gpu: int
    processes: int
    accumulation: int
    base_lr: float | None
    reason: str = ''

    @property
    def total(self) -> int:
        """Images per optimiser step."""
        return self.per_gpu * self.processes * self.accumulation

    @property
    def lr(self) -> float | None:
        """``base_lr * total / 256``."""
        return None if self.base_lr is None else self.base_lr * self.total / 256

    def __str__(self) -> str:
        batch = f'{self.per_gpu} images x {_count_processes(self.processes)} x {self.accumulation} accumulated'
        rate = '' if self.lr is None else f'; learning rate {self.lr:.4g} = {self.base_lr:.4g} x {self.total} / 256'
        return f'batch {self.total} = {batch}{rate}{self.reason and f"; {self.reason}"}'

    def adapt_optim_wrapper(self, settings: Mapping[str, Any]) -> dict:
        """An optimiser wrapper's settings, with the learning rate and the accumulation."""
        optimizer = dict(settings['optimizer'])
        if self.lr is not None:
            optimizer['lr'] = self.lr
        return dict(settings, optimizer=optimizer, accumulative_counts=self.accumulation)

    def adapt_loader(self, settings: Mapping[str, Any]) -> dict:
        """The training data loader's settings, with the batch of this plan in place of :data:`AUTO`."""
        is_auto = settings.get('batch_size') == AUTO
        return dict(settings, batch_size=self.per_gpu) if is_auto else dict(settings)

    def adapt_loop(self, settings: Mapping[str, Any]) -> dict:
        """A training loop's settings; lengths in iterations are converted to forward passes."""
        return self._multiply_lengths(settings, _LOOP_LENGTHS) if 'max_iters' in settings else dict(settings)

    def adapt_scheduler(self, settings: Mapping[str, Any], kind: type) -> dict:
        """A scheduler's settings; lengths in iterations are converted to forward passes.

        Args:
            kind: the scheduler's class. If it has a parameter ``accumulation``, that is set too.
        """
        by_epoch = counts_epochs(settings, kind)
        settings = dict(settings, by_epoch=by_epoch)  # MMEngine's default `end` depends on it
        if takes(kind, 'accumulation'):
            settings['accumulation'] = self.accumulation
        return settings if by_epoch else self._multiply_lengths(settings, _SCHEDULER_LENGTHS)

    def adapt_hooks(self, hooks: Iterable[Hook]) -> None:
        """Change hooks that count iterations: checkpoints and moving averages then count optimiser steps."""
        for hook in hooks:
            if isinstance(hook, EMAHook):
                hook.ema_cfg['interval'] = hook.ema_cfg.get('interval', 1) * self.accumulation
                hook.begin_iter *= self.accumulation
            elif isinstance(hook, CheckpointHook) and not hook.by_epoch:
                hook.interval *= self.accumulation
                hook.save_begin *= self.accumulation

    def _multiply_lengths(self, settings: Mapping[str, Any], names: tuple[str, ...]) -> dict:
        settings = dict(settings)
        for name in names:
            value = settings.get(name)
            if isinstance(value, (list, tuple)):
                settings[name] = [length * self.accumulation for length in value]
            elif value is not None:
                settings[name] = value * self.accumulation
        return settings


def _count_processes(count: int) -> str:
    return f'{count} process' if count == 1 else f'{count} processes'


def counts_epochs(settings: Mapping[str, Any], kind: type) -> bool:
    """Whether a scheduler's lengths are in epochs: its setting ``by_epoch``, or the default of its class."""
    if 'by_epoch' in settings:
        return settings['by_epoch']
    # MMEngine's schedulers take `*args, **kwargs`: the default is in one of their base classes.
    for base in kind.__mro__:
        if '__init__' in vars(base):
            parameter = signature(vars(base)['__init__']).parameters.get('by_epoch')
            if parameter is not None:
                return parameter.default
    return True


def plan_batch(total: int | None, per_gpu: int, processes: int, base_lr: float | None) -> BatchPlan:
    """Divide a total batch of images; None means one forward pass of all processes.

    Raises:
        UserError: the total is not a multiple of the images in one forward pass; a number below one.
    """
    for name, number in (('train_dataloader.batch_size', per_gpu), ('total_batch_size', total)):
        if number is not None and not (isinstance(number, int) and number > 0):
            raise UserError(f'{name} is a whole number of images, 1 or more; found {number}')
    per_pass = per_gpu * processes
    total = total or per_pass
    if total % per_pass:
        if fitting := _divisors(total, processes):
            advice = f'choose train_dataloader.batch_size from {", ".join(map(str, fitting[-8:]))}'
        else:
            advice = f'choose a total_batch_size that is a multiple of {processes}'
        raise UserError(
            f'total_batch_size {total} cannot be made of {_count_processes(processes)} x {per_gpu} images: {advice}'
        )
    return BatchPlan(per_gpu, processes, total // per_pass, base_lr)


def possible_batches(total: int | None, processes: int) -> list[int]:
    """The images per process and forward pass that a total batch can be made of, smallest first.

    Raises:
        UserError: there is no total batch, or it is no multiple of the processes.
    """
    if total is None:
        raise UserError(
            f"train_dataloader.batch_size='{AUTO}' divides total_batch_size: set that, or a number of images"
        )
    plan_batch(total, 1, processes, None)  # refuses a total that is no number, or no multiple
    return _divisors(total, processes)


def _divisors(total: int, processes: int) -> list[int]:
    return [size for size in range(1, total // processes + 1) if total % (size * processes) == 0]


def is_auto(cfg: Config) -> bool:
    """Whether a config leaves the batch of a process to the memory of the devices."""
    return (cfg.get('train_dataloader') or {}).get('batch_size') == AUTO


def plan_of(
    cfg: Config, processes: int, fitting_batch: Callable[[], tuple[int, str]] | None = None
) -> BatchPlan | None:
    """The plan from a config's ``total_batch_size`` and ``base_lr``; None if it has neither or does not train.

    Args:
        fitting_batch: gives the images per process, and why, where the config has :data:`AUTO`. None: the fewest.

    Raises:
        UserError: an impossible batch; a learning rate or an accumulation that is set twice.
    """
    total, base_lr = cfg.get('total_batch_size'), cfg.get('base_lr')
    if not cfg.get('train_dataloader') or (total is None and base_lr is None and not is_auto(cfg)):
        return None
    if base_lr is not None and not (isinstance(base_lr, (int, float)) and base_lr >= 0):
        raise UserError(f'base_lr is a learning rate per 256 images, 0 or more; found {base_lr!r}')
    wrapper = cfg.optim_wrapper
    if base_lr is not None and wrapper.optimizer.get('lr') is not None:
        raise UserError(
            f'the learning rate is set twice: optim_wrapper.optimizer.lr={wrapper.optimizer.lr} and '
            f'base_lr={base_lr} per 256 images: remove the first, or set base_lr=None'
        )
    if total is not None and wrapper.get('accumulative_counts') is not None:
        raise UserError(
            f'the accumulation is set twice: optim_wrapper.accumulative_counts={wrapper.accumulative_counts} and '
            f'total_batch_size={total}: remove the first, or set total_batch_size=None'
        )
    if is_auto(cfg):
        fewest = possible_batches(total, processes)[0]
        per_gpu, reason = (fewest, '') if fitting_batch is None else fitting_batch()
        return replace(plan_batch(total, per_gpu, processes, base_lr), reason=reason)
    plan = plan_batch(total, cfg.train_dataloader.get('batch_size', 1), processes, base_lr)
    if total is None and (counts := wrapper.get('accumulative_counts')):
        return BatchPlan(plan.per_gpu, processes, counts, base_lr)
    return plan
