"""From one total batch size: accumulation and learning rate for however many GPUs there are."""

from __future__ import annotations

from dataclasses import dataclass

from mmengine.config import Config

from ..errors import UserError


@dataclass(frozen=True)
class BatchPlan:
    """How a total batch is shared out, and the learning rate that follows from it.

    Args:
        per_gpu: images of one process in one forward pass.
        gpus: processes.
        accumulation: forward passes for one step of the optimiser.
        base_lr: learning rate per 256 images (the linear rule of MAE, Table 8).
    """

    per_gpu: int
    gpus: int
    accumulation: int
    base_lr: float

    @property
    def total(self) -> int:
        """Images behind one step of the optimiser."""
        return self.per_gpu * self.gpus * self.accumulation

    @property
    def lr(self) -> float:
        """``base_lr * total / 256``."""
        return self.base_lr * self.total / 256

    def __str__(self) -> str:
        return (
            f'batch {self.total} = {self.per_gpu} images x {self.gpus} process{"es" * (self.gpus > 1)} x '
            f'{self.accumulation} accumulated; '
            f'learning rate {self.lr:.4g} = {self.base_lr:.4g} x {self.total} / 256'
        )


def plan_batch(total: int | None, per_gpu: int, gpus: int, base_lr: float) -> BatchPlan:
    """Share out ``total`` images; None takes what the GPUs hold at once.

    Raises:
        UserError: the total is no multiple of what the GPUs hold at once; a number below one.
    """
    if not isinstance(per_gpu, int) or per_gpu < 1 or (total is not None and (not isinstance(total, int) or total < 1)):
        raise UserError(
            f'train_dataloader.batch_size and total_batch_size are whole numbers above zero; found {per_gpu} and '
            f'{total}'
        )
    at_once = per_gpu * gpus
    total = total or at_once
    if total % at_once:
        fitting = [size for size in range(1, total // gpus + 1) if total % (size * gpus) == 0]
        advice = (
            f'choose train_dataloader.batch_size from {", ".join(map(str, fitting[-8:]))}'
            if fitting
            else f'choose a total_batch_size that is a multiple of {gpus}'
        )
        raise UserError(f'total_batch_size {total} cannot be made of {gpus} processes x {per_gpu} images: {advice}')
    return BatchPlan(per_gpu, gpus, total // at_once, base_lr)


def apply_batch_plan(cfg: Config, gpus: int) -> BatchPlan | None:
    """Write the plan of a config's ``total_batch_size`` and ``base_lr`` into its optimiser, schedulers and loop.

    An epoch stays an epoch. What counts iterations (MMEngine's iterations are forward passes) is stretched by the
    accumulation, so that the optimiser makes as many steps as the recipe says, wherever it runs; an average of the
    weights takes one of each step.

    Returns:
        The plan, or None for a config that states its learning rate itself and no ``base_lr``.
    """
    if 'base_lr' not in cfg:
        return None
    plan = plan_batch(cfg.get('total_batch_size'), cfg.train_dataloader.batch_size, gpus, cfg.base_lr)
    cfg.optim_wrapper.optimizer.lr = plan.lr
    cfg.optim_wrapper.accumulative_counts = plan.accumulation
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if scheduler.type.rpartition('.')[2] == 'WarmupCosineLR':
            scheduler.accumulation = plan.accumulation
            if not scheduler.get('convert_to_iter_based', False):
                _stretch(scheduler, ('warmup', 'end'), plan.accumulation)
        elif not scheduler.get('by_epoch', True):
            _stretch(
                scheduler,
                ('begin', 'end', 'T_max', 'total_iters', 'total_steps', 'step_size', 'milestones', 'periods'),
                plan.accumulation,
            )
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('type') == 'EMAHook':
            hook['interval'] = plan.accumulation
    if cfg.train_cfg.get('type') == 'IterBasedTrainLoop' or not cfg.train_cfg.get('by_epoch', True):
        _stretch(cfg.train_cfg, ('max_iters', 'val_interval', 'val_begin'), plan.accumulation)
        checkpoint = cfg.get('default_hooks', {}).get('checkpoint', {})
        if not checkpoint.get('by_epoch', True):
            _stretch(checkpoint, ('interval',), plan.accumulation)
    return plan


def _stretch(settings: dict, names: tuple[str, ...], factor: int) -> None:
    for name in names:
        value = settings.get(name)
        if isinstance(value, (list, tuple)):
            settings[name] = [length * factor for length in value]
        elif value is not None:
            settings[name] = value * factor
