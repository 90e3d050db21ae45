"""Are two views of a held-out photo told from those of all other photos?"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..errors import UserError
from ..registry import METRICS
from .finite import check_finite

#: Queries that are compared with all keys at once: with 50 000 photos, 100 MB.
_AT_ONCE = 512


@METRICS.register_module()
class ViewMatching(BaseMetric):
    """The contrastive loss of MoCo v3 on held-out photos, each compared with all of them on all processes.

    Reports ``views/accuracy``, the share of queries that are most similar to the key of the same photo's other view,
    and ``views/loss``. Both depend on the number of photos: compare checkpoints on the same ones.

    Args:
        temperature: the model's, for the loss.

    Raises:
        UserError: no photo was evaluated; a loss that is not finite; a temperature that is not above 0.
    """

    default_prefix = 'views'

    def __init__(self, temperature: float = 0.2, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)
        if temperature <= 0:
            raise UserError(f'ViewMatching.temperature is a number above 0; found {temperature}')
        self.temperature = temperature

    def process(self, data_batch: dict, data_samples: list[dict]) -> None:
        """Keep the queries and keys of ``MoCoV3.forward(mode='predict')``."""
        self.results.extend((sample['queries'], sample['keys']) for sample in data_samples)

    def compute_metrics(self, results: list[tuple[Tensor, Tensor]]) -> dict:
        """Compare the queries of each view with the other view's keys of all photos."""
        losses: list[float] = []
        hits = 0
        if results:
            queries, keys = (torch.stack(parts).float() for parts in zip(*results))
            for view in (0, 1):
                for labels in torch.arange(len(results)).split(_AT_ONCE):
                    logits = queries[labels, view] @ keys[:, 1 - view].T / self.temperature
                    losses += (2 * self.temperature * F.cross_entropy(logits, labels, reduction='none')).tolist()
                    hits += int((logits.argmax(dim=1) == labels).sum())
        check_finite(losses, 'loss of the views')
        return dict(accuracy=hits / len(losses), loss=2 * math.fsum(losses) / len(losses))
