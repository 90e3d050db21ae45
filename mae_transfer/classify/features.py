"""The features of a whole data set, and the loop that judges a ViT by them."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import NamedTuple

import torch
from mmengine.dist import all_gather, all_gather_object
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..errors import UserError
from ..optim.autocast import DTYPES

LOG_EVERY = 50


class Features(NamedTuple):
    """What stands for the images of a data set, on the CPU, in the data set's order.

    float16 halves the memory (ImageNet's train part at width 1024: 2.6 GB in each process); all arithmetic on it is
    float32.
    """

    values: Tensor  # (N, D) float16
    labels: Tensor  # (N,) int64


@torch.no_grad()
def extract_features(model: nn.Module, dataloader: DataLoader, name: str, dtype: str = 'float32') -> Features:
    """Encode a whole data set once; every process does its share of each batch and ends with all of it.

    What is gathered is put where its number in the data set says, so order, shuffling and the samples that a
    distributed sampler repeats do not matter.

    Args:
        model: with ``data_preprocessor`` and ``features`` as of :class:`~mae_transfer.classify.ViTClassifier`; is left
            in evaluation mode.
        dataloader: gives every process as many images, as ``DefaultSampler`` does.
        name: what the log and errors call the data set.
        dtype: of autocast while encoding: 'float32' for none, 'bfloat16' or 'float16'.

    Raises:
        UserError: an unknown dtype; a data loader that drops images; labels that the data set's ``classes`` do not
            have; features that are not finite.
    """
    if dtype not in DTYPES:
        raise UserError(f"autocast dtype is one of {', '.join(DTYPES)}; found '{dtype}'")
    if dataloader.drop_last:
        raise UserError(f'the data loader of {name} drops its last images: set drop_last=False')
    model = model.module if is_model_wrapper(model) else model
    model.eval()
    device = next(model.parameters()).device
    count = len(dataloader.dataset)
    values, labels, seen, skipped = (
        None,
        torch.empty(count, dtype=torch.int64),
        torch.zeros(count, dtype=torch.bool),
        set(),
    )
    for step, batch in enumerate(dataloader, 1):
        with torch.autocast(device.type, DTYPES[dtype], enabled=dtype != 'float32'):
            encoded = model.features(model.data_preprocessor(batch, False)['inputs'])
        encoded = torch.cat(all_gather(encoded.to(torch.float16).contiguous())).cpu()
        indices, classes = torch.cat(all_gather(torch.stack([batch['indices'], batch['labels']], 1))).T
        if values is None:
            values = torch.empty(count, encoded.shape[1], dtype=torch.float16)
        values[indices], labels[indices], seen[indices] = encoded, classes, True
        skipped.update(batch.get('skipped', ()))
        if step % LOG_EVERY == 0 or step == len(dataloader):
            print_log(f'features of {name}: {step}/{len(dataloader)}', logger='current')
    if names := sorted(set().union(*all_gather_object(skipped))):
        shown = ', '.join(names[:20]) + (f' and {len(names) - 20} more' if len(names) > 20 else '')
        print_log(
            f'{len(names)} unreadable photos of {name} were skipped: {shown}', logger='current', level=logging.WARNING
        )
    found = Features(values[seen], labels[seen])
    _check(found, name, len(dataloader.dataset.metainfo['classes']))
    return found


def _check(features: Features, name: str, num_classes: int) -> None:
    """Refuse what no classifier can be made of; after gathering, so that all processes end together."""
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
    """A test loop that needs no evaluator: it encodes train and test images once and lets :meth:`judge` compare them.

    Args:
        runner: MMEngine's runner; its model is a :class:`~mae_transfer.classify.ViTClassifier`.
        dataloader: of the test images, ``test_dataloader``.
        evaluator: not used; MMEngine wants ``test_evaluator=[]`` in the config.
        train_dataloader: of the train images, under the test images' transform. It stands in ``test_cfg`` because
            MMEngine takes a ``train_dataloader`` of the config's own only together with an optimiser.
        dtype: of autocast while encoding, as in :func:`extract_features`.

    Raises:
        UserError: test images of classes that the train images do not have.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader | dict,
        train_dataloader: DataLoader | dict,
        evaluator: list = (),
        dtype: str = 'float32',
    ):
        super().__init__(runner, dataloader)
        self.train_dataloader = runner.build_dataloader(train_dataloader, seed=runner.seed)
        self.dtype = dtype
        self.classes = self.train_dataloader.dataset.metainfo['classes']
        self.present = torch.tensor(self.dataloader.dataset.metainfo['present'])
        check_classes(self.classes, self.dataloader.dataset.metainfo['classes'])

    def run(self) -> dict[str, float]:
        """Encode, judge, and hand the metrics to the hooks, as MMEngine's ``TestLoop`` does."""
        self.runner.call_hook('before_test')
        self.runner.call_hook('before_test_epoch')
        train = extract_features(self.runner.model, self.train_dataloader, 'train', self.dtype)
        metrics = self.judge(train, extract_features(self.runner.model, self.dataloader, 'test', self.dtype))
        self.runner.call_hook('after_test_epoch', metrics=metrics)
        self.runner.call_hook('after_test')
        return metrics

    @abstractmethod
    def judge(self, train: Features, test: Features) -> dict[str, float]:
        """The metrics, the same in every process."""

    @property
    def device(self) -> torch.device:
        """Where the model is and the arithmetic is done."""
        return next(self.runner.model.parameters()).device


def check_classes(train: tuple[str, ...], test: tuple[str, ...]) -> None:
    """Refuse test images whose labels do not mean what they mean in train; the last classes of train may be missing in
    test.

    Raises:
        UserError: a class that train does not have, or has under another label.
    """
    for label, name in enumerate(test):
        if label >= len(train):
            raise UserError(f"train has {len(train)} classes, test {len(test)}: '{name}' is not among those of train")
        if name != train[label]:
            raise UserError(
                f"label {label} is '{train[label]}' in train and '{name}' in test: classes must be the same, in one "
                'order'
            )
