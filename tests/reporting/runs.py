"""Work_dirs as runs leave them, without a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSIFIER = dict(
    default_scope='mae_transfer',
    model=dict(type='ViTClassifier', num_classes=4, vit=dict(type='ViT', arch='32x4x2')),
    pretrained='none',
    data_root='data',
    arch='32x4x2',
    randomness=dict(seed=0),
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=4),
)
PRETRAINING = dict(
    default_scope='mae_transfer',
    model=dict(type='MAE', target=dict(type='NormalizedPixelTarget'), vit=dict(type='ViT', arch='32x4x2')),
    data_root='photos',
    randomness=dict(seed=0),
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=4),
)
RECORD = dict(
    command=['tools/train.py', 'my config.py'],
    folder='/home/me',
    config=None,
    started='2026-01-31T12:00:00+00:00',
    seed=0,
    device='cpu: x86_64, 1 thread(s)',
    processes=1,
    batch='batch 8 = 4 images x 1 process x 2 accumulated',
    accumulation=2,
    platform='Linux',
    packages=dict(python='3.11.7', torch='2.11.0'),
    commit='0123abc',
)


def line(iteration: int, loss: float = 1.0, length: int = 10, **values: float) -> dict[str, float]:
    """A line of training; ``length`` iterations are an epoch."""
    return dict(
        lr=1e-3, base_lr=1e-3, loss=loss, epoch=-(-iteration // length), iter=iteration, step=iteration, **values
    )


def write_session(
    work_dir: Path,
    name: str,
    lines: list[dict[str, float]],
    config: dict[str, Any] | None = CLASSIFIER,
    record: dict[str, Any] | None = None,
    log: tuple[str, str] | None = ('12:00:00', '12:01:30'),
) -> Path:
    """Write the folder of a session; gives it."""
    folder = work_dir / name
    data = folder / 'vis_data'
    data.mkdir(parents=True)
    if lines:
        (data / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    if config is not None:
        (data / 'config.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in config.items()))
    if record is not None:
        (data / 'run.json').write_text(json.dumps(record))
    if log is not None:
        (folder / f'{name}.log').write_text(
            f'2026/01/31 {log[0]} - mmengine - INFO - \n{"-" * 60}\nSystem environment:\n    Python: 3.11.7\n'
            f'{"-" * 60}\n2026/01/31 {log[1]} - mmengine - INFO - Epoch(val)\n'
        )
    return folder


def write_classifier(
    work_dir: Path, top1: float = 50.0, seed: int = 0, pretrained: str = 'none', init: str | None = None, **record: Any
) -> Path:
    """A completed run of two epochs of a classifier."""
    config = dict(CLASSIFIER, pretrained=pretrained, randomness=dict(seed=seed), train_cfg=dict(max_epochs=2))
    if init is not None:
        config['init'] = init
    lines = [line(5, 2.0), line(10, 1.5), {'accuracy/top1': top1 - 5, 'step': 1}]
    lines += [line(15, 1.2), line(20, 1.1), {'accuracy/top1': top1, 'time': 0.1, 'step': 2}]
    write_session(work_dir, '20260131_120000', lines, config, dict(dict(RECORD, seed=seed, end='completed'), **record))
    return work_dir


def write_pictures(folder: Path, *names: str, size: tuple[int, int] = (30, 60)) -> None:
    """Pictures of noise, each another one."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
