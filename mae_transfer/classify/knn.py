"""k-NN classification: test images get the classes of the nearest training images. Nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_dist_info
from torch import Tensor

from ..errors import UserError, is_whole
from ..progress import progress
from ..registry import LOOPS
from .features import FeatureLoop, Features

# Queries and bank vectors that are compared at once: with float32 similarities and a few int64 tensors of this size,
# .4 GB. There are many queries because the whole bank is copied to the device once for each chunk of queries.
QUERIES, BANK = 2048, 8192
#: Below it, votes would be infinite in float64.
LOWEST_TEMPERATURE = 0.002


def nearest(
    queries: Tensor, bank: Tensor, k: int, device: torch.device | str = 'cpu', chunk: int = BANK
) -> tuple[Tensor, Tensor]:
    """The exact ``k`` nearest vectors of a bank by cosine similarity, computed in chunks to limit memory.

    Args:
        queries: (Q, D), of any float type; compared in float32.
        bank: (N, D), likewise; N is at least ``k``.
        device: where to compute.
        chunk: number of bank vectors that are compared at once.

    Returns:
        Similarities (Q, k) float32 and indices into the bank (Q, k) int64, on the CPU, nearest first; if similarities
        are equal, the lower index first.
    """
    queries = F.normalize(queries.to(device, torch.float32), dim=1)
    best = torch.empty(len(queries), 0, dtype=torch.int64, device=device)
    for start in range(0, len(bank), chunk):
        part = F.normalize(bank[start : start + chunk].to(device, torch.float32), dim=1)
        keys = _to_keys(queries @ part.T, start)
        keys = keys.topk(min(k, len(part)), sorted=False).values
        best = torch.cat([best, keys], 1)
        best = best.topk(min(k, best.shape[1])).values
    return _from_keys(best.cpu())


def _to_keys(similarities: Tensor, start: int) -> Tensor:
    """Pack similarities (Q, N) and the bank indices from ``start`` on into int64 keys (Q, N).

    A larger key is a higher similarity or, at equal similarity, a lower index. No two keys are equal, so top-k gives
    the same neighbours regardless of how the bank is split into chunks.
    """
    bits = (similarities + 0.0).view(torch.int32)  # + 0 turns -0 into 0, whose bits differ
    # Read as integers, the bits of positive floats are in the order of the floats; those of negative ones are reversed.
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    indices = torch.arange(start, start + similarities.shape[1], device=similarities.device)
    return (ordered << 32) + (0xFFFFFFFF - indices)


def _from_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities and indices of the keys of :func:`_to_keys`."""
    ordered = (keys >> 32).int()
    similarities = torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).view(torch.float32)
    return similarities, 0xFFFFFFFF - (keys & 0xFFFFFFFF)


def knn_votes(similarities: Tensor, labels: Tensor, num_classes: int, temperature: float = 0.07) -> Tensor:
    """Sum of exp(similarity / temperature) over the neighbours of each class (Wu et al. 2018; DINO's protocol).

    Args:
        similarities: (Q, k), of the neighbours.
        labels: (Q, k) int64, of the neighbours.

    Returns:
        (Q, num_classes) float64; 0 for a class without a neighbour.
    """
    votes = torch.zeros(len(labels), num_classes, dtype=torch.float64)
    return votes.scatter_add_(1, labels, (similarities.double() / temperature).exp())


def knn_predictions(
    queries: Tensor,
    bank: Tensor,
    bank_labels: Tensor,
    num_classes: int,
    ks: Sequence[int],
    temperature: float = 0.07,
    present: Tensor | None = None,
    device: torch.device | str = 'cpu',
) -> Tensor:
    """The five classes with the most votes, for each k; queries are processed in chunks to limit memory.

    Args:
        queries: (Q, D).
        bank: (N, D).
        bank_labels: (N,) int64.
        ks: numbers of neighbours, each at most N.
        present: labels that may be predicted, if the test set has only some of the classes; None: all.
        device: where similarities are computed. Votes are counted on the CPU in float64, so they are the same for every
            device.

    Returns:
        (len(ks), Q, 5) int64, most votes first, equal votes in order of increasing label; -1 if no further class has a
        vote.
    """
    predictions = torch.full((len(ks), len(queries), 5), -1)
    for start in progress(range(0, len(queries), QUERIES), f'neighbours found, times {QUERIES} images'):
        similarities, indices = nearest(queries[start : start + QUERIES], bank, max(ks), device)
        labels = bank_labels[indices]
        for i, k in enumerate(ks):
            votes = knn_votes(similarities[:, :k], labels[:, :k], num_classes, temperature)
            if present is not None:
                votes = torch.zeros_like(votes).index_copy_(1, present, votes[:, present])
            votes, classes = votes.sort(dim=1, descending=True, stable=True)
            classes = classes[:, :5].masked_fill(votes[:, :5] == 0, -1)
            predictions[i, start : start + QUERIES, : classes.shape[1]] = classes
    return predictions


@LOOPS.register_module()
class KNNLoop(FeatureLoop):
    """The k-NN evaluation of ``tools/test.py``: top-1 and top-5 for each k, in per cent, as 'knn/top1_k10'.

    Each process evaluates its share of the test images. A class without a neighbour is never predicted, so if all
    neighbours belong to one class, top-5 has a single guess.

    Args:
        ks: numbers of neighbours.
        temperature: of the weights of the votes.
        ``*args``, ``**kwargs``: as for :class:`~mae_transfer.classify.features.FeatureLoop`.

    Raises:
        UserError: no ks, or a k or temperature that is no such number; fewer training images than the largest k.
    """

    def __init__(
        self, *args: Any, ks: Sequence[int] = (10, 20, 100, 200), temperature: float = 0.07, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(ks, (list, tuple)) or not ks or not all(is_whole(k, 1) for k in ks):
            raise UserError(f'test_cfg.ks is a list of whole numbers, 1 or more, e.g. [10,20]; found {ks}')
        if not isinstance(temperature, (int, float)) or not temperature >= LOWEST_TEMPERATURE:
            raise UserError(f'test_cfg.temperature is a number, {LOWEST_TEMPERATURE} or more; found {temperature}')
        self.ks, self.temperature = ks, temperature
        if (count := len(self.train_dataloader.dataset)) < max(ks):
            raise UserError(f'k={max(ks)} needs at least {max(ks)} training images; found {count}: choose test_cfg.ks')

    def evaluate(self, train: Features, test: Features) -> dict[str, float]:
        """The accuracies; each test image is counted in exactly one process."""
        rank, world = get_dist_info()
        predictions = knn_predictions(
            test.values[rank::world],
            train.values,
            train.labels,
            len(self.classes),
            self.ks,
            self.temperature,
            self.present,
            self.device,
        )
        correct = predictions == test.labels[rank::world, None]
        hits = torch.stack([correct[..., 0].sum(1), correct.any(-1).sum(1)])
        all_reduce(hits)
        metrics = {}
        for k, (top1, top5) in zip(self.ks, hits.T.tolist()):
            metrics[f'knn/top1_k{k}'] = 100 * top1 / len(test.labels)
            metrics[f'knn/top5_k{k}'] = 100 * top5 / len(test.labels)
        return metrics
