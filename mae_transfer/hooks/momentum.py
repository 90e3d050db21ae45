"""Move the averages of a momentum encoder during training."""

from __future__ import annotations

import math

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..errors import UserError
from ..registry import HOOKS


@HOOKS.register_module()
class MomentumHook(Hook):
    """Call the model's ``update_momentum_encoder`` once before each step of the optimiser, with a momentum that rises.

    The momentum rises from ``start`` to ``end`` by half a cosine over the run (MoCo v3, section 4.1; official
    ``main_moco.py --moco-m-cos``). It depends on the progress of the run alone, so a resumed run continues as if it had
    not stopped. With accumulated gradients the averages move before the first forward pass of a step.

    Args:
        start, end: momentum at the beginning and at the end of the run.

    Raises:
        UserError: a number outside of 0 to 1; an end below the start.
    """

    def __init__(self, start: float = 0.99, end: float = 1.0):
        if not 0 <= start <= end <= 1:
            raise UserError(f'MomentumHook takes 0 <= start <= end <= 1; found start={start}, end={end}')
        self.start, self.end = start, end
        self._is_told = False

    def momentum(self, progress: float) -> float:
        """Momentum when a share ``progress`` of the run is done."""
        return self.end - (self.end - self.start) * 0.5 * (1 + math.cos(math.pi * progress))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Move the averages if a step begins; say once that accumulation divides the photos that are compared."""
        # Asked before a forward pass, this says whether the passes before it made whole steps.
        if runner.optim_wrapper.should_update():
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            model.update_momentum_encoder(self.momentum(runner.iter / runner.max_iters))
        elif not self._is_told:
            self._is_told = True
            count = len((data_batch or {}).get('inputs', ())) * get_world_size()
            runner.logger.warning(
                f'gradients are accumulated: each photo is compared with the {count} of one forward pass, not with all '
                'of the total batch; more GPUs, or a larger train_dataloader.batch_size, compare more'
            )
