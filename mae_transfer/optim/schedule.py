"""MAE's schedule: linear warm-up from zero, then half a cosine, updated at every iteration."""

from __future__ import annotations

import math
from typing import Any

from mmengine.optim import OptimWrapper, _ParamScheduler
from torch.optim import Optimizer

from ..errors import UserError
from ..registry import PARAM_SCHEDULERS


def warmup_cosine(epoch: float, warmup: float, end: float) -> float:
    """Factor on the base learning rate at a fractional epoch (official code, ``util/lr_sched.py``, with min_lr 0)."""
    if epoch < warmup:
        return epoch / warmup
    return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (end - warmup)))


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(_ParamScheduler):
    """Set the learning rate of each parameter group at every iteration, by :func:`warmup_cosine`.

    The warm-up rises from 0 to the group's base value; the half-cosine falls from there to ``min_lr`` times the group's
    ``lr_scale``, so that layer-wise decay also scales the lowest rate (official code, ``util/lr_sched.py``).

    With gradient accumulation all micro-batches of a step have the rate of the first one, as in the official code.

    Args:
        optimizer: optimiser or wrapper.
        warmup: length of the warm-up, in epochs (``by_epoch=True``) or iterations.
        end: end of the cosine, in the same unit; MMEngine's runner fills in the end of the run.
        min_lr: lowest rate of groups whose ``lr_scale`` is 1 or missing.
        accumulation: micro-batches per step; ``StrictRunner`` fills it in.
        epoch_length: iterations per epoch, if lengths are in epochs; MMEngine's runner fills it in.
        by_epoch: True requires ``convert_to_iter_based=True``, because the rate changes at every iteration.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        warmup: float,
        end: float,
        min_lr: float = 0.0,
        accumulation: int = 1,
        epoch_length: int = 1,
        by_epoch: bool = False,
        last_step: int = -1,
        verbose: bool = False,
    ):
        if by_epoch:
            raise UserError(
                'WarmupCosineLR by_epoch=True needs convert_to_iter_based=True: the rate changes at every iteration'
            )
        if not 0 <= warmup < end:
            raise UserError(f'the warm-up must end before the schedule does; found warmup={warmup}, end={end}')
        self.warmup, self.cosine_end, self.min_lr = warmup, end, min_lr
        self.accumulation, self.epoch_length = accumulation, epoch_length
        # `end` of the base class is in iterations; one more, so that the last value is reached.
        super().__init__(
            optimizer, 'lr', end=math.ceil(end * epoch_length) + 1, last_step=last_step, by_epoch=False, verbose=verbose
        )

    @classmethod
    def build_iter_from_epoch(cls, *, by_epoch: bool = True, **kwargs: Any) -> WarmupCosineLR:
        """Called by MMEngine for ``convert_to_iter_based=True``: ``warmup`` and ``end`` stay in epochs, and
        ``epoch_length`` tells their iterations."""
        return cls(**kwargs)

    def go_to(self, iteration: int) -> None:
        """Set the rate after a number of iterations directly: it does not depend on the rates before."""
        self.last_step = self._global_step = iteration - 1
        self.step()

    def _get_value(self) -> list[float]:
        epoch = self.last_step // self.accumulation * self.accumulation / self.epoch_length
        factor = warmup_cosine(epoch, self.warmup, self.cosine_end)
        if epoch < self.warmup:
            return [base * factor for base in self.base_values]
        lowest = [self.min_lr * group.get('lr_scale', 1.0) for group in self.optimizer.param_groups]
        return [low + (base - low) * factor for low, base in zip(lowest, self.base_values)]
