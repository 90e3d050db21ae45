"""Fast linear probing: features are computed once, a whole grid of linear classifiers is trained on them at the same
time, and the best one on held-out training images is evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_dist_info
from mmengine.logging import print_log
from torch import Tensor

from ..errors import UserError, is_whole
from ..progress import progress
from ..registry import LOOPS
from .features import FeatureLoop, Features

MOMENTUM, INIT_STD, VARIANCE_EPS = 0.9, 0.01, 1e-6  # std and eps are those of the paper's probe (MAE App. A.1)
ROWS = 1024  # number of features that are converted to float32 at once, except in training


class Heads(NamedTuple):
    """K linear classifiers with C classes on the same features, which are standardised by ``mean`` and ``std``."""

    weight: Tensor  # (D, K, C)
    bias: Tensor  # (K, C)
    mean: Tensor  # (D,)
    std: Tensor  # (D,)

    def __call__(self, values: Tensor) -> Tensor:
        """Logits (B, K, C) of features (B, D) of any float type and device."""
        return self.logits(self.standardise(values))

    def standardise(self, values: Tensor) -> Tensor:
        """Features with mean 0 and variance 1 over the training images, float32, on the device of the classifiers."""
        return (values.to(self.mean) - self.mean) / self.std

    def logits(self, values: Tensor) -> Tensor:
        """Logits of standardised features: one matrix product for all classifiers."""
        return (values @ self.weight.flatten(1)).unflatten(1, self.bias.shape) + self.bias


class Score(NamedTuple):
    """Top-1 and top-5 accuracy in per cent and mean cross-entropy of K classifiers, each (K,) float64."""

    top1: Tensor
    top5: Tensor
    loss: Tensor


def held_out_part(labels: Tensor, share: float, seed: int) -> Tensor:
    """Choose the images to hold out: of each class a ``share``, at least one image and never all.

    The choice depends on labels and seed alone. A class with one image keeps it for training.

    Args:
        labels: (N,) int64.

    Returns:
        (N,) bool: whether an image is held out.

    Raises:
        UserError: nothing can be held out, because no class has two images.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[labels[order].argsort(stable=True)]  # shuffled within each class
    counts = labels.bincount()
    first = counts.cumsum(0) - counts  # where each class starts in this order
    rank_in_class = torch.arange(len(labels)) - first[labels[order]]
    wanted = (counts * share).round().long().clamp(min=1).minimum(counts - 1)
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[order] = rank_in_class < wanted[labels[order]]
    if not held.any():
        raise UserError(
            f'no class of the {len(labels)} training images has two images, so none can be held out to choose the best '
            'classifier: give more images'
        )
    return held


def mean_and_std(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (D,) float32 of features (N, D), as a BatchNorm over all of them computes them: std
    is sqrt(variance + 1e-6)."""
    total = values.new_zeros(values.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    for rows in values.split(ROWS):
        rows = rows.double()
        total += rows.sum(0)
        squares += rows.square().sum(0)
    mean = total / len(values)
    variance = (squares / len(values) - mean.square()).clamp(min=0)
    return mean.float(), (variance + VARIANCE_EPS).sqrt().float()


@torch.no_grad()
def train_heads(
    train: Features,
    num_classes: int,
    pairs: Sequence[tuple[float, float]],
    epochs: int,
    batch_size: int,
    seed: int,
    device: torch.device | str = 'cpu',
) -> Heads:
    """Train one classifier for each pair (learning rate, weight decay), all at the same time: they start from the same
    weights and get the same batches.

    Softmax regression by SGD with momentum .9 and a learning rate that falls to 0 by a cosine over all steps. Weights
    are drawn from a normal distribution with std .01; biases start at 0 and are not decayed. Features stay on the CPU.
    The device holds three tensors of logits, batch_size x K x C each, and two of weights, D x K x C each; for ImageNet
    at width 1024, batches of 1024 and 24 pairs, .5 GB.

    Args:
        train: features to train on.
        seed: of initial weights and batches. A classifier depends on the seed and its own pair, not on other pairs.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, std = (statistic.to(device) for statistic in mean_and_std(train.values))
    initial = torch.randn(train.values.shape[1], 1, num_classes, generator=generator) * INIT_STD
    weight = initial.to(device).repeat(1, len(pairs), 1)
    bias = torch.zeros(len(pairs), num_classes, device=device)
    heads = Heads(weight, bias, mean, std)
    weight_momentum, bias_momentum = torch.zeros_like(weight), torch.zeros_like(bias)
    base_lrs, decays = torch.tensor(pairs, dtype=torch.float32, device=device).reshape(-1, 2, 1).unbind(1)
    steps = math.ceil(len(train.values) / batch_size) * epochs
    batches = (
        batch
        for _ in range(epochs)
        for batch in torch.randperm(len(train.values), generator=generator).split(batch_size)
    )
    for step, batch in enumerate(progress(batches, f'{len(pairs)} linear classifiers trained, steps', steps)):
        values = heads.standardise(train.values[batch])
        labels = train.labels[batch].to(device)
        # d loss / d logits = softmax - one-hot, divided by the batch size.
        gradient = heads.logits(values).softmax(-1)
        gradient[torch.arange(len(labels)), :, labels] -= 1
        gradient /= len(labels)
        weight_gradient = (values.T @ gradient.flatten(1)).view_as(weight)
        weight_momentum.mul_(MOMENTUM).add_(weight_gradient).addcmul_(weight, decays)
        bias_momentum.mul_(MOMENTUM).add_(gradient.sum(0))
        lr = base_lrs * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        weight.addcmul_(weight_momentum, lr, value=-1)
        bias.addcmul_(bias_momentum, lr, value=-1)
    return heads


@torch.no_grad()
def score(heads: Heads, features: Features, present: Tensor | None = None) -> Score:
    """Evaluate classifiers on all features; one that diverged gets accuracies of 0 and an infinite loss.

    Args:
        present: labels that may be predicted, if the images have only some of the classes; None: all.
    """
    device = heads.bias.device
    num_heads, num_classes = heads.bias.shape
    absent = torch.zeros(num_classes, dtype=torch.bool, device=device)
    if present is not None:
        absent = torch.ones_like(absent).index_fill(0, present.to(device), False)
    sums = torch.zeros(3, num_heads, dtype=torch.float64)
    for values, labels in zip(features.values.split(ROWS), features.labels.split(ROWS)):
        labels = labels.to(device)
        logits = heads(values)
        guesses = logits.masked_fill(absent, -torch.inf).topk(min(5, num_classes)).indices
        correct = guesses == labels[:, None, None]
        losses = F.cross_entropy(logits.movedim(2, 1), labels[:, None].expand(-1, num_heads), reduction='none')
        sums += torch.stack([part.double().sum(0) for part in (correct[..., 0], correct.any(-1), losses)]).cpu()
    top1, top5, loss = sums / len(features.labels)
    diverged = ~loss.isfinite()
    top1, top5 = 100 * top1.masked_fill(diverged, 0), 100 * top5.masked_fill(diverged, 0)
    return Score(top1, top5, loss.masked_fill(diverged, torch.inf))


@LOOPS.register_module()
class FastProbeLoop(FeatureLoop):
    """The fast linear probe of ``tools/test.py``: 'probe/top1' and 'probe/top5' of the test images, in per cent.

    Classifiers for all pairs of a learning rate and a weight decay are trained together on most of the training images.
    The one that does best on the rest, by top-1 and then by loss, is chosen; its metrics are 'probe/held_out_top1',
    'probe/lr' and 'probe/weight_decay'. A classifier with the chosen pair is then trained on all training images and
    evaluated on the test images, which have no part in the choice. Each process trains its share of the pairs.

    Args:
        lrs, weight_decays: the grid; learning rates are not scaled by the batch size.
        epochs, batch_size: of the training on features.
        held_out: share of each class's training images that is held out for the choice.
        retrain: whether the chosen pair is trained on all training images for the test, or without the held-out ones.
        seed: of the held-out part, the initial weights and the order of the batches.
        is_told: whether the log tells the grid and the choice.
        ``*args``, ``**kwargs``: as for :class:`~mae_transfer.classify.features.FeatureLoop`.

    Raises:
        UserError: an empty grid; a share that is not between 0 and 1; no class with two images, of which one can be
            held out; a chosen classifier that diverged.
    """

    def __init__(
        self,
        *args: Any,
        lrs: Sequence[float] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        weight_decays: Sequence[float] = (0.0, 1e-4, 1e-3),
        epochs: int = 50,
        batch_size: int = 1024,
        held_out: float = 0.1,
        retrain: bool = True,
        seed: int = 0,
        is_told: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if not lrs or not weight_decays:
            raise UserError('test_cfg.lrs and test_cfg.weight_decays each need at least one number; found none')
        for name, values in (('lrs', lrs), ('weight_decays', weight_decays)):
            listed = isinstance(values, (list, tuple))
            if not listed or not all(isinstance(value, (int, float)) and value >= 0 for value in values):
                raise UserError(f'test_cfg.{name} are numbers, 0 or more, e.g. [.01,.1]; found {values}')
        for name, number in (('epochs', epochs), ('batch_size', batch_size)):
            if not is_whole(number, 1):
                raise UserError(f'test_cfg.{name} is a whole number, 1 or more; found {number}')
        if not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
            raise UserError(f'test_cfg.held_out is a share of the training images, between 0 and 1; found {held_out}')
        self.lrs, self.weight_decays = sorted(lrs), sorted(weight_decays)
        self.held_out, self.retrain, self.seed, self.is_told = held_out, retrain, seed, is_told
        self.train_settings: dict[str, Any] = dict(
            num_classes=len(self.classes), epochs=epochs, batch_size=batch_size, seed=seed, device=self.device
        )

    def evaluate(self, train: Features, test: Features) -> dict[str, float]:
        """Choose a pair on the held-out part of ``train``, train with it, and evaluate on ``test``."""
        held = held_out_part(train.labels, self.held_out, self.seed)
        held_out_images = Features(train.values[held], train.labels[held])
        other_images = Features(train.values[~held], train.labels[~held])

        pairs = list(product(self.lrs, self.weight_decays))
        rank, world = get_dist_info()
        scores = torch.zeros(3, len(pairs), dtype=torch.float64)
        if own_pairs := pairs[rank::world]:
            heads = train_heads(other_images, pairs=own_pairs, **self.train_settings)
            scores[:, rank::world] = torch.stack(score(heads, held_out_images))
        all_reduce(scores)

        held_out = Score(*scores)
        best = max(range(len(pairs)), key=lambda i: (held_out.top1[i], -held_out.loss[i]))
        lr, weight_decay = pairs[best]
        if self.is_told:
            print_log(self._table(held_out.top1), logger='current')
            advice = self._advice_at_edge(lr, weight_decay)
            print_log(f'fast probe: chosen lr {lr:g}, weight decay {weight_decay:g}{advice}', logger='current')

        images = train if self.retrain else other_images
        chosen = score(train_heads(images, pairs=[pairs[best]], **self.train_settings), test, self.present)
        if not chosen.loss.isfinite().all():
            raise UserError(
                f'the classifier of the fast probe diverged (lr {lr:g}, the best on held-out images), so that its '
                'accuracy means nothing: choose smaller test_cfg.lrs'
            )
        return {
            'probe/top1': chosen.top1.item(),
            'probe/top5': chosen.top5.item(),
            'probe/held_out_top1': held_out.top1[best].item(),
            'probe/lr': lr,
            'probe/weight_decay': weight_decay,
        }

    def _table(self, top1: Tensor) -> str:
        """Table of held-out top-1: a row for each learning rate, a column for each weight decay."""
        head = ''.join(f'{f"wd {decay:g}":>10}' for decay in self.weight_decays)
        rows = [
            f'lr {lr:<7g}' + ''.join(f'{value:10.2f}' for value in row)
            for lr, row in zip(self.lrs, top1.reshape(len(self.lrs), -1).tolist())
        ]
        return '\n'.join(['fast probe, top-1 on held-out training images:', f'{"":10}{head}', *rows])

    def _advice_at_edge(self, lr: float, weight_decay: float) -> str:
        """Advice to extend the grid if the chosen pair lies on its edge, so that a better one may lie beyond; or ''."""
        edges = []
        for name, value, values in (('lrs', lr, self.lrs), ('weight_decays', weight_decay, self.weight_decays)):
            if value > 0 and len(values) > 1 and value in (values[0], values[-1]):
                edges.append(f'test_cfg.{name} {"downwards" if value == values[0] else "upwards"}')
        return f'; the best lies on the edge of the grid: extend {" and ".join(edges)}' if edges else ''
