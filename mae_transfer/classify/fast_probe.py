"""Linear probing in a moment: features once, a whole grid of linear classifiers at a time, the best by a held-out part
of train."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from mmengine.dist import all_reduce, get_dist_info
from mmengine.logging import print_log
from torch import Tensor

from ..errors import UserError
from ..registry import LOOPS
from .features import FeatureLoop, Features

MOMENTUM, INIT_STD, VARIANCE_EPS = 0.9, 0.01, 1e-6  # std and eps are the paper's probe's (MAE App. A.1)
ROWS = 1024  # features that are turned to float32 at once where nothing is trained


class Heads(NamedTuple):
    """K linear classifiers on the same features, which they standardise by ``mean`` and ``std`` (D,)."""

    weight: Tensor  # (D, K, C)
    bias: Tensor  # (K, C)
    mean: Tensor
    std: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """Logits (B, K, C) of features (B, D) of any float type and device."""
        return self.logits(self.standardise(values))

    def standardise(self, values: Tensor) -> Tensor:
        """The features as they are trained on, float32."""
        return (values.to(self.mean) - self.mean) / self.std

    def logits(self, values: Tensor) -> Tensor:
        """Logits of standardised features: one product for all classifiers."""
        return (values @ self.weight.flatten(1)).unflatten(1, self.bias.shape) + self.bias


class Score(NamedTuple):
    """How well K classifiers do, each (K,) float64: top-1 and top-5 in per cent, mean cross-entropy."""

    top1: Tensor
    top5: Tensor
    loss: Tensor


def held_out_part(labels: Tensor, share: float, seed: int) -> Tensor:
    """Which of the images (N,) are held out: of each class the ``share``, at least one, never all.

    Follows from labels and seed alone. A class of one image keeps it for training.

    Raises:
        UserError: nothing can be held out, because no class has two images.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    place = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[order]]  # among the images of its class
    wanted = (counts * share).round().long().clamp(min=1).minimum(counts - 1)
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[order] = place < wanted[labels[order]]
    if not held.any():
        raise UserError(
            f'no class of the {len(labels)} training images has two images, so none can be held out to choose by: give '
            'more'
        )
    return held


def mean_and_std(values: Tensor) -> tuple[Tensor, Tensor]:
    """(D,) float32 of features (N, D), as a BatchNorm over all of them divides: std is sqrt(variance + 1e-6)."""
    total = square = 0.0
    for rows in values.split(ROWS):
        rows = rows.double()
        total, square = total + rows.sum(0), square + rows.square().sum(0)
    mean = total / len(values)
    variance = (square / len(values) - mean.square()).clamp(min=0)
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
    """Train a classifier for each pair (learning rate, weight decay) at the same time: same first weights, same
    batches.

    Softmax regression by SGD with momentum .9 and a cosine over all steps to 0; weights start from a normal of std .01,
    biases from 0 and are not decayed. Features stay on the CPU. At once on the device: batch_size x K x C logits three
    times over, D x K x C weights twice; for ImageNet at width 1024, 1024 at once and 24 pairs, .5 GB.

    Args:
        train: features to train on.
        seed: of first weights and batches; what comes out follows from it and not from the other pairs.
    """
    generator = torch.Generator().manual_seed(seed)
    mean, std = (part.to(device) for part in mean_and_std(train.values))
    first = torch.randn(train.values.shape[1], 1, num_classes, generator=generator) * INIT_STD
    heads = Heads(
        first.to(device).repeat(1, len(pairs), 1), torch.zeros(len(pairs), num_classes, device=device), mean, std
    )
    weight_speed, bias_speed = torch.zeros_like(heads.weight), torch.zeros_like(heads.bias)
    lrs, decays = torch.tensor(pairs, dtype=torch.float32, device=device).reshape(-1, 2, 1).unbind(1)
    steps = math.ceil(len(train.values) / batch_size) * epochs
    batches = (
        batch
        for _ in range(epochs)
        for batch in torch.randperm(len(train.values), generator=generator).split(batch_size)
    )
    for step, batch in enumerate(batches):
        values = heads.standardise(train.values[batch])
        labels = train.labels[batch].to(device)
        gradient = heads.logits(values).softmax(-1)  # of the loss by the logits: what is said less what is true
        gradient[torch.arange(len(labels)), :, labels] -= 1
        gradient /= len(labels)
        weight_speed.mul_(MOMENTUM).add_((values.T @ gradient.flatten(1)).view_as(weight_speed)).addcmul_(
            heads.weight, decays
        )
        bias_speed.mul_(MOMENTUM).add_(gradient.sum(0))
        pace = lrs * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        heads.weight.addcmul_(weight_speed, pace, value=-1)
        heads.bias.addcmul_(bias_speed, pace, value=-1)
    return heads


@torch.no_grad()
def score(heads: Heads, features: Features, present: Tensor | None = None) -> Score:
    """Judge classifiers on all features; where one's weights ran away, its accuracies are 0 and its loss infinite.

    Args:
        present: labels that can be right, where the images are of a subset of the classes; None: all.
    """
    sums = torch.zeros(3, len(heads.bias), dtype=torch.float64)
    absent = torch.zeros(heads.bias.shape[1], dtype=torch.bool, device=heads.bias.device)
    if present is not None:
        absent = absent.index_fill(0, present.to(absent.device), True).logical_not()
    for values, labels in zip(features.values.split(ROWS), features.labels.split(ROWS)):
        labels = labels.to(heads.bias.device)
        logits = heads(values)
        guesses = logits.masked_fill(absent, -torch.inf).topk(min(5, logits.shape[-1])).indices == labels[:, None, None]
        losses = torch.nn.functional.cross_entropy(
            logits.movedim(2, 1), labels[:, None].expand(logits.shape[:2]), reduction='none'
        )
        sums += torch.stack(
            [guesses[..., 0].double().sum(0), guesses.any(-1).double().sum(0), losses.double().sum(0)]
        ).cpu()
    top1, top5, loss = sums / len(features.labels)
    broken = ~loss.isfinite()
    return Score(
        100 * top1.masked_fill(broken, 0), 100 * top5.masked_fill(broken, 0), loss.masked_fill(broken, torch.inf)
    )


@LOOPS.register_module()
class FastProbeLoop(FeatureLoop):
    """``tools/test.py`` by a fast linear probe: 'probe/top1' and 'probe/top5' of the test images, in per cent.

    Classifiers for every pair of learning rate and weight decay are trained together on most of the train images; the
    best on the rest, by top-1 and then by loss, is chosen: 'probe/held_out_top1', 'probe/lr', 'probe/weight_decay'.
    Test images have no part in it. Its pair is trained once more, on all train images, and judged. Each process trains
    its slice of the grid.

    Args:
        lrs, weight_decays: the grid; learning rates are for the batch size as it is.
        epochs, batch_size: of the training on features.
        held_out: share of each class's train images that the choice is made by.
        retrain: whether the chosen pair is trained on all train images for the test, not only on what was not held out.
        seed: of the held-out part, the first weights and the order of the batches.
        **kwargs: as of :class:`~mae_transfer.classify.features.FeatureLoop`.

    Raises:
        UserError: a grid without a pair; a share that is none; no class with an image to spare for the held-out part.
    """

    def __init__(
        self,
        *args,
        lrs: Sequence[float] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        weight_decays: Sequence[float] = (0.0, 1e-4, 1e-3),
        epochs: int = 50,
        batch_size: int = 1024,
        held_out: float = 0.1,
        retrain: bool = True,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        if not lrs or not weight_decays:
            raise UserError('test_cfg.lrs and test_cfg.weight_decays each need at least one number; found none')
        if not 0 < held_out < 1:
            raise UserError(f'test_cfg.held_out is a share of the training images, between 0 and 1; found {held_out}')
        self.lrs, self.weight_decays, self.held_out, self.retrain, self.seed = (
            sorted(lrs),
            sorted(weight_decays),
            held_out,
            retrain,
            seed,
        )
        self.training = dict(
            num_classes=len(self.classes), epochs=epochs, batch_size=batch_size, seed=seed, device=self.device
        )

    def judge(self, train: Features, test: Features) -> dict[str, float]:
        """Choose a pair by the held-out part of train, train it, judge it on test."""
        held = held_out_part(train.labels, self.held_out, self.seed)
        fit, rest = (Features(train.values[part], train.labels[part]) for part in (~held, held))
        pairs = list(product(self.lrs, self.weight_decays))
        rank, world = get_dist_info()
        found = torch.zeros(3, len(pairs), dtype=torch.float64)
        if mine := pairs[rank::world]:
            found[:, rank::world] = torch.stack(score(train_heads(fit, pairs=mine, **self.training), rest))
        all_reduce(found)
        held_out = Score(*found)
        best = max(range(len(pairs)), key=lambda i: (held_out.top1[i], -held_out.loss[i]))
        lr, weight_decay = pairs[best]
        print_log(self._table(held_out.top1), logger='current')
        print_log(
            f'fast probe: chosen lr {lr:g}, weight decay {weight_decay:g}{self._at_edge(lr, weight_decay)}',
            logger='current',
        )
        chosen = score(
            train_heads(train if self.retrain else fit, pairs=[pairs[best]], **self.training), test, self.present
        )
        return {
            'probe/top1': chosen.top1.item(),
            'probe/top5': chosen.top5.item(),
            'probe/held_out_top1': held_out.top1[best].item(),
            'probe/lr': lr,
            'probe/weight_decay': weight_decay,
        }

    def _table(self, top1: Tensor) -> str:
        """Held-out accuracies: a row for each learning rate, a column for each weight decay."""
        head = ''.join(f'{f"wd {decay:g}":>10}' for decay in self.weight_decays)
        rows = [
            f'lr {lr:<7g}' + ''.join(f'{value:10.2f}' for value in row)
            for lr, row in zip(self.lrs, top1.reshape(len(self.lrs), -1).tolist())
        ]
        return '\n'.join(['fast probe, top-1 on held-out training images:', f'{"":10}{head}', *rows])

    def _at_edge(self, lr: float, weight_decay: float) -> str:
        """What to do where the best may lie beyond the grid."""
        edges = []
        for name, value, values in (('lrs', lr, self.lrs), ('weight_decays', weight_decay, self.weight_decays)):
            if value > 0 and len(values) > 1 and value in (values[0], values[-1]):
                edges.append(f'test_cfg.{name} {"downwards" if value == values[0] else "upwards"}')
        return f'; the best lies on the edge of the grid: extend {" and ".join(edges)}' if edges else ''
