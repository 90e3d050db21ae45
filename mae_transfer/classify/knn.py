"""Classes by the nearest neighbours among the train images' features: nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_dist_info
from torch import Tensor

from ..errors import UserError
from ..registry import LOOPS
from .features import FeatureLoop, Features

# Similarities held at once: these, by float32 and a few int64: .4 GB. Many queries, so that a large bank crosses to the
# device seldom.
QUERIES, BANK = 2048, 8192


def nearest(
    queries: Tensor, bank: Tensor, k: int, device: torch.device | str = 'cpu', chunk: int = BANK
) -> tuple[Tensor, Tensor]:
    """The exact ``k`` nearest of a bank by cosine similarity, without ever holding all similarities.

    Args:
        queries: (Q, D); bank: (N, D), N at least ``k``; any float type, compared in float32.
        device: where to compute.
        chunk: vectors of the bank that are compared at once.

    Returns:
        similarities (Q, k) float32 and numbers in the bank (Q, k) int64, on the CPU; nearest first, of equals the lower
        number.
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
    """int64 (Q, N) in the order of (similarity, lower number first): top-k of them knows no ties, wherever the bank is
    cut."""
    bits = (similarities + 0.0).view(torch.int32)  # + 0 turns -0 into 0, of which the bits differ
    ordered = torch.where(
        bits < 0, bits ^ 0x7FFFFFFF, bits
    ).long()  # a float's bits, read as an integer, rise with it if positive
    numbers = torch.arange(start, start + similarities.shape[1], device=similarities.device)
    return (ordered << 32) + (0xFFFFFFFF - numbers)


def _from_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    """What :func:`_to_keys` was made of."""
    ordered = (keys >> 32).int()
    return torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered).view(torch.float32), 0xFFFFFFFF - (keys & 0xFFFFFFFF)


def knn_votes(similarities: Tensor, labels: Tensor, num_classes: int, temperature: float = 0.07) -> Tensor:
    """Sum exp(similarity / temperature) of the neighbours of each class (Wu et al. 2018; DINO's protocol).

    Args:
        similarities: (Q, k) of the neighbours; labels: (Q, k) int64 of the same.

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
    """The five classes with the most votes, for each k; in parts, so that memory does not grow with queries times bank.

    Args:
        queries: (Q, D); bank: (N, D); bank_labels: (N,) int64; ks: numbers of neighbours, each at most N.
        present: labels that can be right, where the test set has a subset of the classes; None: all.
        device: where similarities are computed; votes are counted on the CPU, in float64, alike on every device.

    Returns:
        (len(ks), Q, 5) int64, most votes first, of equals the lower label; -1 where no further class has a vote.
    """
    predictions = torch.full((len(ks), len(queries), 5), -1)
    for start in range(0, len(queries), QUERIES):
        similarities, numbers = nearest(queries[start : start + QUERIES], bank, max(ks), device)
        labels = bank_labels[numbers]
        for of_k, k in zip(predictions, ks):
            votes = knn_votes(similarities[:, :k], labels[:, :k], num_classes, temperature)
            if present is not None:
                votes = torch.zeros_like(votes).index_copy_(1, present, votes[:, present])
            votes, classes = votes.sort(dim=1, descending=True, stable=True)
            classes = classes[:, :5].masked_fill(votes[:, :5] == 0, -1)
            of_k[start : start + QUERIES, : classes.shape[1]] = classes
    return predictions


@LOOPS.register_module()
class KNNLoop(FeatureLoop):
    """``tools/test.py`` by k-NN: top-1 and top-5 for each k, in per cent, as 'knn/top1_k10'.

    Each process judges its share of the test images. A class without a neighbour is no prediction, so top-5 with one
    class among the neighbours is one guess.

    Args:
        ks: numbers of neighbours.
        temperature: of the votes' weights.
        **kwargs: as of :class:`~mae_transfer.classify.features.FeatureLoop`.

    Raises:
        UserError: fewer train images than the largest k.
    """

    def __init__(self, *args, ks: Sequence[int] = (10, 20, 100, 200), temperature: float = 0.07, **kwargs):
        super().__init__(*args, **kwargs)
        self.ks, self.temperature = ks, temperature
        if (count := len(self.train_dataloader.dataset)) < max(ks):
            raise UserError(f'k={max(ks)} needs at least {max(ks)} training images; found {count}: choose test_cfg.ks')

    def judge(self, train: Features, test: Features) -> dict[str, float]:
        """Count each test image once, in one of the processes."""
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
        right = predictions == test.labels[rank::world, None]
        hits = torch.stack([right[..., 0].sum(1), right.any(-1).sum(1)])
        all_reduce(hits)
        return {
            f'knn/top{top}_k{k}': 100 * hit.item() / len(test.labels)
            for k, pair in zip(self.ks, hits.T)
            for top, hit in zip((1, 5), pair)
        }
