"""Small classifiers; a tiny model and data set for the loops on features, and their results on one process and two."""

from __future__ import annotations

import functools
import multiprocessing
import os
import socket
import tempfile
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import mae_transfer.classify.fast_probe
import mae_transfer.classify.knn  # noqa: F401
from mae_transfer.classify import ViTClassifier
from mae_transfer.classify.features import extract_features
from mae_transfer.compat.distributed import start_group
from mae_transfer.runner import StrictRunner

VIT = dict(type='ViT', arch=dict(embed_dim=16, depth=4, num_heads=2), img_size=16, patch_size=4, learn_positions=True)
POOLINGS = ('patch_mean', 'class_token')
CLASSES = ('ant', 'bee', 'cat')


def classifier(pooling: str = 'patch_mean', num_classes: int = 5, vit: dict | None = None, **settings) -> ViTClassifier:
    """A classifier on a small ViT; ``vit`` changes some of the ViT's settings."""
    return ViTClassifier(dict(VIT, **(vit or {})), num_classes, pooling, **settings)


def official_name(name: str) -> str:
    """Name of a classifier's parameter in the official code."""
    return name.removeprefix('vit.')


@DATASETS.register_module()
class ColouredNoise(Dataset):
    """``length`` noisy images of 3 x 4 x 4 whose colour hints at the class; labels 0, 1, 2, 0, 1, 2, ..."""

    def __init__(
        self,
        length: int,
        seed: int = 0,
        noise: float = 60.0,
        classes: tuple = CLASSES,
        present: tuple = (0, 1, 2),
        shift: int = 0,
        skipped: tuple = (),
    ):
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(length) % 3
        colours = torch.eye(3).mul(60).add(90)[self.labels, :, None, None]
        self.images = (
            (colours + torch.randn(length, 3, 4, 4, generator=generator) * noise).clamp(0, 255).to(torch.uint8)
        )
        self.labels += shift
        self.skipped = skipped
        self.metainfo = dict(classes=tuple(classes), present=tuple(present))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        item = dict(inputs=self.images[index], labels=self.labels[index], indices=index)
        return dict(item, skipped=self.skipped[index]) if self.skipped else item


@MODELS.register_module()
class Divided(BaseDataPreprocessor):
    """Stands in for LabelledPreprocessor: returns the same keys, without its settings."""

    def forward(self, data: dict, training: bool = False) -> dict:
        return dict(inputs=self.cast_data(data['inputs']).float() / 255 - 0.5, labels=self.cast_data(data['labels']))


@MODELS.register_module()
class Pixels(BaseModel):
    """Features of 8 numbers, a fixed linear map of the pixels; with dropout in training."""

    def __init__(self, factor: float = 1.0):
        super().__init__(dict(type='Divided'))
        self.linear = nn.Linear(48, 8)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(8, 48, generator=torch.Generator().manual_seed(0)))
            self.linear.bias.zero_()
        self.factor = factor

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.linear(images.flatten(1)), training=self.training) * self.factor

    def forward(self, *args, **kwargs):
        raise AssertionError('only features are needed')


def loader(length: int, batch_size: int = 4, shuffle: bool = False, **dataset) -> dict:
    """The config of a data loader."""
    return dict(
        batch_size=batch_size,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='ColouredNoise', length=length, **dataset),
        sampler=dict(type='DefaultSampler', shuffle=shuffle),
    )


def config(work_dir: Path, loop: dict, train: dict | None = None, test: dict | None = None, **changes) -> Config:
    """A complete config for a loop on features; both numbers of images are odd."""
    return Config(
        dict(
            dict(
                default_scope='mae_transfer',
                work_dir=str(work_dir),
                model=dict(type='Pixels'),
                test_dataloader=test or loader(31, seed=1),
                test_evaluator=[],
                test_cfg=dict(loop, train_dataloader=train or loader(63)),
                experiment_name=f'{work_dir}_{loop["type"]}'.replace('/', '_'),
                log_level='WARNING',
                randomness=dict(seed=0),
            ),
            **changes,
        )
    )


KNN, PROBE = (
    dict(type='KNNLoop', ks=(3, 10)),
    dict(type='FastProbeLoop', lrs=(0.01, 0.1, 1.0), weight_decays=(0.0, 0.1), epochs=5),
)
EXTRACTED = loader(31, seed=1, shuffle=True)


def results(work_dir: Path, launcher: str = 'none') -> dict:
    """The metrics of both loops, by MMEngine's runner, and extracted features."""
    found = {}
    for loop in (KNN, PROBE):
        cfg = config(work_dir, loop, launcher=launcher)
        runner = StrictRunner.from_cfg(cfg)
        found[loop['type']] = runner.test()
    found['features'] = extract_features(runner.model, Runner.build_dataloader(EXTRACTED, seed=0), 'test')._asdict()
    return found


@functools.cache
def results_of_two_processes() -> list[dict]:
    """:func:`results` of each of two real processes, forked as a data loader's workers are; run once for all tests."""
    if get_device() != 'cpu':
        pytest.skip('two processes cannot share one accelerator')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context('fork')
        ranks = [context.Process(target=_one_of_two, args=(rank, port, Path(folder))) for rank in range(2)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join(60)
        assert [rank.exitcode for rank in ranks] == [0, 0]
        return [torch.load(Path(folder) / f'{rank}.pt') for rank in range(2)]


def _one_of_two(rank: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)  # the threads of the parent do not survive a fork
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port)
    )
    start_group('pytorch')
    torch.save(results(folder, 'pytorch'), folder / f'{rank}.pt')
