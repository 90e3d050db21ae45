"""Anneal the temperature and the KL weight of a discrete VAE during training."""

from __future__ import annotations

import math

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..errors import UserError
from ..registry import HOOKS


@HOOKS.register_module()
class AnnealingHook(Hook):
    """Lower the Gumbel-softmax temperature by half a cosine, and raise the weight of the KL term linearly.

    Both depend on the progress of the run alone, so a resumed run continues as if it had not stopped. DALL-E (App. A.2)
    lowers the temperature from 1 to 1/16 in the first 150 000 of 3 000 000 updates, and raises the weight, also by a
    cosine, in the first 5000. These shares would be too few updates in a short run, so the default shares are ours.

    Args:
        start, end: temperature at the beginning, and once ``share`` of the run is done.
        share: share of the run, above 0 and at most 1, after which the temperature stays at ``end``.
        kl_share: share of the run, 0 to 1, after which the KL term has its full weight.

    Raises:
        UserError: a number outside of these bounds.
    """

    def __init__(self, start: float = 1.0, end: float = 1 / 16, share: float = 0.75, kl_share: float = 0.1):
        if not (0 < end <= start and 0 < share <= 1 and 0 <= kl_share <= 1):
            raise UserError(
                'AnnealingHook takes 0 < end <= start, share above 0 and at most 1, kl_share from 0 to 1; found '
                f'start={start}, end={end}, share={share}, kl_share={kl_share}'
            )
        self.start, self.end, self.share, self.kl_share = start, end, share, kl_share

    def temperature(self, progress: float) -> float:
        """Temperature when a share ``progress`` of the run is done."""
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress / self.share)))

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Set the model's ``temperature`` and ``kl_share``."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        progress = runner.iter / runner.max_iters
        model.temperature = self.temperature(progress)
        model.kl_share = min(1.0, progress / self.kl_share) if self.kl_share else 1.0
