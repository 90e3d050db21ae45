"""MAE's schedule: linear warm-up from zero, then half a cosine, at every iteration."""

from __future__ import annotations

import math

from mmengine.optim import _ParamScheduler

from ..errors import UserError
from ..registry import PARAM_SCHEDULERS


def warmup_cosine(epoch: float, warmup: float, end: float) -> float:
    """Share of the full learning rate at a fractional epoch (official code, ``util/lr_sched.py``; min lr 0)."""
    if epoch < warmup:
        return epoch / warmup
    return 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (end - warmup)))


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(_ParamScheduler):
    """Learning rate of each group at every iteration, by :func:`warmup_cosine` of the fractional epoch.

    The warm-up rises from 0 to the group's own base value; the half-cosine falls from there to ``min_lr`` times the
    group's ``lr_scale``, so that layer-wise decay scales the lowest rate too (official code, ``util/lr_sched.py``).

    With gradient accumulation the rate stays that of the first micro-batch until the step is done, as in the official
    code.

    Args:
        optimizer: optimiser or wrapper.
        warmup: length of the warm-up, in epochs (``by_epoch=True``) or iterations.
        end: where the cosine reaches its end, likewise.
        min_lr: lowest rate, of groups without an ``lr_scale`` or with one of 1.
        accumulation: micro-batches per step; ``tools/train.py`` fills it in.
        by_epoch: must come with ``convert_to_iter_based=True``: the schedule moves at every iteration.
    """

    def __init__(
        self,
        optimizer,
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
                'WarmupCosineLR by_epoch=True needs convert_to_iter_based=True: it moves at every iteration'
            )
        if not 0 <= warmup < end:
            raise UserError(f'the warm-up must end before the schedule does; found warmup={warmup}, end={end}')
        self.warmup, self.length, self.min_lr = warmup, end, min_lr
        self.accumulation, self.epoch_length = accumulation, epoch_length
        # `end` of the base class counts iterations; one more, so that the last value is reached.
        super().__init__(
            optimizer, 'lr', end=math.ceil(end * epoch_length) + 1, last_step=last_step, by_epoch=False, verbose=verbose
        )

    @classmethod
    def build_iter_from_epoch(cls, *args, epoch_length: int, by_epoch: bool = True, **kwargs) -> WarmupCosineLR:
        """MMEngine's conversion: lengths stay in epochs, and ``epoch_length`` iterations make one."""
        return cls(*args, epoch_length=epoch_length, **kwargs)

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on where a run stopped, also when it ran on another number of GPUs.

        The steps done are converted to this run's iterations; the lengths of an epoch and of an accumulation stay this
        run's.
        """
        state_dict = dict(state_dict)
        factor = self.epoch_length / state_dict.pop('epoch_length', self.epoch_length)
        for key in ('last_step', '_global_step'):
            state_dict[key] = round(state_dict[key] * factor)
        for key in ('accumulation', 'end'):
            state_dict.pop(key, None)
        super().load_state_dict(state_dict)

    def _get_value(self) -> list[float]:
        epoch = self.last_step // self.accumulation * self.accumulation / self.epoch_length
        share = warmup_cosine(epoch, self.warmup, self.length)
        if epoch < self.warmup:
            return [base * share for base in self.base_values]
        lowest = [self.min_lr * group.get('lr_scale', 1.0) for group in self.optimizer.param_groups]
        return [low + (base - low) * share for low, base in zip(lowest, self.base_values)]
