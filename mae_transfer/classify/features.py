"""The features of a whole data set, and the test loop that evaluates a ViT by them."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dist import all_gather
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..data.photos.source import check_present
from ..errors import UserError
from ..hooks.skipped_images import skipped_summary
from ..optim.autocast import DTYPES
from ..progress import progress
from ..sharding.shards import has_shards


class Features(NamedTuple):
    """Features and labels of the images of a data set, on the CPU, in the order of the data set.

    float16 halves the memory (ImageNet's training set at width 1024: 2.6 GB in each process); all arithmetic on the
    features is float32.
    """

    values: Tensor  # (N, D) float16
    labels: Tensor  # (N,) int64


class Encoded(NamedTuple):
    """The features of one batch of every process, on the CPU.

    Attributes:
        values: (B, D), of the type that was asked for.
        indices: (B,) int64, of the images in the data set.
        labels: (B,) int64; None for images without labels.
        skipped: names of the unreadable images that this process met, with their reasons.
    """

    values: Tensor
    indices: Tensor
    labels: Tensor | None
    skipped: tuple[str, ...]


@torch.no_grad()
def encoded_batches(
    model: nn.Module, dataloader: DataLoader, name: str, dtype: str = 'float32', stored: torch.dtype = torch.float32
) -> Iterator[Encoded]:
    """Encode a data set batch by batch; each process encodes its share, and all of them are given all features.

    Args:
        model, dataloader, name, dtype: as for :func:`extract_features`; batches have ``inputs`` and ``indices``, and
            may have ``labels`` and ``skipped``.
        stored: type of the features.

    Raises:
        UserError: an unknown dtype; a data loader that drops images; a model that is divided among processes.
    """
    if dtype not in DTYPES:
        raise UserError(f"autocast dtype is one of {', '.join(DTYPES)}; found '{dtype}'")
    if dataloader.drop_last:
        raise UserError(f'the data loader of {name} drops its last images: set drop_last=False')
    encoder: Any = model.module if is_model_wrapper(model) else model
    if has_shards(encoder):
        raise UserError(
            'features are computed by a whole model in each process: set '
            "model_wrapper_cfg.type='MMDistributedDataParallel'"
        )
    encoder.eval()
    device = next(encoder.parameters()).device
    for batch in dataloader:
        with torch.autocast(device.type, DTYPES[dtype], enabled=dtype != 'float32'):
            values = encoder.features(encoder.data_preprocessor(batch, False)['inputs'])
        values = torch.cat(all_gather(values.to(stored).contiguous())).cpu()
        numbers = [batch[key] for key in ('indices', 'labels') if key in batch]
        indices, *labels = torch.cat(all_gather(torch.stack(numbers, 1))).T
        yield Encoded(values, indices, labels[0] if labels else None, tuple(batch.get('skipped', ())))


def extract_features(
    model: nn.Module, dataloader: DataLoader, name: str, dtype: str = 'float32', is_told: bool = True
) -> Features:
    """Encode a whole data set once; each process encodes its share, and all of them return the features of all images.

    Features are stored at the image's index in the data set. Order, shuffling and the images that a distributed sampler
    repeats therefore do not matter.

    Args:
        model: has ``data_preprocessor`` and ``features`` as :class:`~mae_transfer.classify.ViTClassifier` has; is left
            in evaluation mode.
        dataloader: has the same number of images in every process, as with ``DefaultSampler``.
        name: name of the data set in the log and in error messages.
        dtype: autocast type of the encoder: 'float32' for none, 'bfloat16' or 'float16'.
        is_told: whether the log tells that it was done.

    Raises:
        UserError: as :func:`encoded_batches`; labels that are not among the data set's ``classes``; features that are
            not finite.
    """
    dataset: Any = dataloader.dataset
    count = len(dataset)
    values = torch.empty(count, 0, dtype=torch.float16)  # the first batch determines the width
    labels = torch.empty(count, dtype=torch.int64)
    seen = torch.zeros(count, dtype=torch.bool)
    skipped: set[str] = set()
    encoded = encoded_batches(model, dataloader, name, dtype, torch.float16)
    for batch in progress(encoded, f'features of {name}, batches', len(dataloader)):
        if not values.shape[1]:
            values = torch.empty(count, batch.values.shape[1], dtype=torch.float16)
        assert batch.labels is not None
        values[batch.indices], labels[batch.indices], seen[batch.indices] = batch.values, batch.labels, True
        skipped.update(batch.skipped)
    if is_told:
        print_log(f'features of {name}: {len(dataloader)} batches', logger='current')
    if summary := skipped_summary(skipped, f'photos of {name}'):
        print_log(summary, logger='current', level=logging.WARNING)
    features = Features(values[seen], labels[seen])
    _check(features, name, len(dataset.metainfo['classes']))
    return features


def _check(features: Features, name: str, num_classes: int) -> None:
    """Refuse features and labels that no classifier can use.

    It is called after features were gathered, so that all processes end together.
    """
    if not len(features.values):
        raise UserError(f'there are no features of {name}: the data set is empty, or none of its images can be read')
    if broken := (~features.values.isfinite().all(1)).sum().item():
        raise UserError(
            f'features of {broken} of {len(features.values)} images of {name} are not finite (NaN, or beyond 65504): '
            'is the checkpoint broken?'
        )
    least, greatest = features.labels.min().item(), features.labels.max().item()
    if least < 0 or greatest >= num_classes:
        raise UserError(
            f'labels of {name} lie from {least} to {greatest}; its {num_classes} classes allow 0 to {num_classes - 1}'
        )


class FeatureLoop(BaseLoop):
    """A test loop without an evaluator: it encodes training and test images once and calls :meth:`evaluate` on them.

    Args:
        runner: MMEngine's runner; its model is a :class:`~mae_transfer.classify.ViTClassifier`.
        dataloader: config of the test images, ``test_dataloader``.
        train_dataloader: config of the training images, with the transform of the test images. It is part of
            ``test_cfg`` because MMEngine accepts a top-level ``train_dataloader`` only together with an optimiser.
        evaluator: not used; MMEngine requires ``test_evaluator=[]`` in the config.
        dtype: autocast type of the encoder, as in :func:`extract_features`.

    Raises:
        UserError: test images of classes that the training images do not have.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        train_dataloader: DataLoader | dict,
        evaluator: Sequence = (),
        dtype: str = 'float32',
    ):
        super().__init__(runner, dataloader)
        self.train_dataloader = runner.build_dataloader(train_dataloader, seed=runner.seed)
        self.dtype = dtype
        self.classes = self.train_dataloader.dataset.metainfo['classes']
        self.present = torch.tensor(self.dataloader.dataset.metainfo['present'])
        check_present(self.present.tolist(), self.classes)
        check_classes(self.classes, self.dataloader.dataset.metainfo['classes'])

    def run(self) -> dict[str, float]:
        """Encode, evaluate, and pass the metrics to the hooks, as MMEngine's ``TestLoop`` does."""
        self.runner.call_hook('before_test')
        self.runner.call_hook('before_test_epoch')
        train = extract_features(self.runner.model, self.train_dataloader, 'train', self.dtype)
        test = extract_features(self.runner.model, self.dataloader, 'test', self.dtype)
        metrics = self.evaluate(train, test)
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return metrics

    @abstractmethod
    def evaluate(self, train: Features, test: Features) -> dict[str, float]:
        """Metrics of the test images by the training images, the same in every process."""

    @property
    def device(self) -> torch.device:
        """The device of the model, where :meth:`evaluate` computes."""
        return next(self.runner.model.parameters()).device


def check_classes(train: tuple[str, ...], test: tuple[str, ...]) -> None:
    """Check that a label means the same class in train and test; test may lack the last classes of train.

    Raises:
        UserError: a class of test that train does not have, or has under another label.
    """
    for label, name in enumerate(test):
        if label >= len(train):
            raise UserError(f"train has {len(train)} classes, test {len(test)}: '{name}' is not among those of train")
        if name != train[label]:
            raise UserError(
                f"label {label} is '{train[label]}' in train and '{name}' in test: both must have the same classes in "
                'the same order'
            )
