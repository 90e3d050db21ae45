"""Tiny images of classes, and options that make the classification configs' runs small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.tools.commands import ARCH, REPOSITORY, call, checkpoint

CONFIGS = REPOSITORY / 'configs'
FINETUNE, LINPROBE, PARTIAL, SCRATCH, KNN, FASTPROBE = (
    CONFIGS / f'in1k_{name}.py'
    for name in ('finetune_vitb', 'linprobe_vitb', 'partial_vitl', 'scratch_vitb', 'knn_vitb', 'fastprobe_vitb')
)
#: {class: its colour}
CLASSES = dict(blue=(40, 60, 200), green=(60, 180, 50), red=(200, 50, 40))


def write_classes(folder: Path, counts: dict[str, int], seed: int) -> None:
    """Write images of 40 x 40 pixels to a folder for each class: its colour (grey if it has none), with noise."""
    rng = np.random.default_rng(seed)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        colour = np.array(CLASSES.get(name, (99, 99, 99)))
        for i in range(count):
            pixels = np.clip(colour + rng.normal(0, 40, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f'{i}.png')


def class_options(data_root: Path, batch: int = 8, epochs: int = 1, **changes) -> list[str]:
    """Options that make a classification config's run small: three steps of eight images an epoch.

    Changes name settings with ``__`` in place of the dots.
    """
    settings = dict(
        data_root=data_root,
        total_batch_size=8,
        base_lr=0.1,
        pretrained='none',
        model__num_classes=3,
        model__vit__arch=ARCH,
        image_size=32,
        max_epochs=epochs,
        warmup=0.5,
        model__vit__patch_size=8,
        train_dataloader__batch_size=batch,
        val_dataloader__batch_size=4,
        test_dataloader__batch_size=4,
        default_hooks__logger__interval=1,
        optim_wrapper__dtype='float32',
        **{f'{loader}_dataloader__num_workers': 0 for loader in ('train', 'val', 'test')},
    )
    return as_options({**settings, **changes})


def feature_options(data_root: Path, **changes) -> list[str]:
    """The same for the configs of k-NN and the fast probe."""
    settings = dict(
        data_root=data_root,
        image_size=32,
        model__vit__arch=ARCH,
        model__vit__patch_size=8,
        test_dataloader__num_workers=0,
        test_dataloader__batch_size=4,
        test_cfg__train_dataloader__num_workers=0,
        test_cfg__train_dataloader__batch_size=5,
        test_cfg__dtype='float32',
    )
    return as_options({**settings, **changes})


def as_options(settings: dict) -> list[str]:
    """``--cfg-options`` for settings whose names have ``__`` in place of the dots."""
    return ['--cfg-options', *(f'{name.replace("__", ".")}={value}' for name, value in settings.items())]


def metrics(work_dir: Path) -> dict[str, float]:
    """The metrics that a test wrote, in full precision."""
    (file,) = work_dir.glob('*/*.json')
    return json.loads(file.read_text())


def evaluate(config: Path, weights: Path | str, work_dir: Path, *options: str) -> dict[str, float]:
    """The metrics of a run of tools/test.py, which must succeed."""
    ended = call('test', config, weights, '--work-dir', work_dir, *options)
    assert ended.code == 0, ended.err
    return metrics(work_dir)


def official_file(finetuned: Path, folder: Path, **changes) -> Path:
    """Write a fine-tuned model of ours as a file of the official code; changes replace weights."""
    state = {name.removeprefix('vit.'): value for name, value in checkpoint(finetuned)['state_dict'].items()}
    torch.save(dict(model={**state, **changes}), folder / 'official.pth')
    return folder / 'official.pth'
