"""The reconstruction loss of an MAE on photos that it was not trained on."""

from __future__ import annotations

import math

from mmengine.evaluator import BaseMetric

from ..registry import METRICS
from .finite import check_finite


@METRICS.register_module()
class ReconstructionLoss(BaseMetric):
    """The pre-training loss on held-out photos. Each has a mask from a fixed seed, so checkpoints can be compared.

    Reports ``reconstruction/masked_loss``, the mean over the images.

    Raises:
        UserError: no image was evaluated; a loss that is not finite.
    """

    default_prefix = 'reconstruction'

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep the per-image losses of ``MAE.forward(mode='predict')``."""
        self.results.extend(sample['loss'] for sample in data_samples)

    def compute_metrics(self, results: list[float]) -> dict:
        """Mean of the images' losses."""
        check_finite(results, 'reconstruction loss')
        return dict(masked_loss=math.fsum(results) / len(results))
