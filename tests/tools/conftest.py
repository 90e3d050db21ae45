"""Tiny data and short runs that several tests of tools use; no test changes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.classification import FINETUNE, class_options, write_classes
from tests.tools.commands import CONFIG, REPOSITORY, imagenet_layout, small, train


@pytest.fixture(scope='session')
def photos(tmp_path_factory) -> Path:
    """24 photos to train on, 7 to validate on."""
    return imagenet_layout(tmp_path_factory.mktemp('photos'))


@pytest.fixture(scope='session')
def trained(tmp_path_factory, photos) -> Path:
    """work_dir of a pre-training of one epoch: width 32, two blocks."""
    folder = tmp_path_factory.mktemp('trained')
    train(CONFIG, '--work-dir', folder, '--amp', 'off', *small(photos))
    return folder


@pytest.fixture(scope='session')
def class_photos(tmp_path_factory) -> Path:
    """24 images of three classes to train on; 7 to validate on, which no even number of processes divides."""
    folder = tmp_path_factory.mktemp('classes')
    write_classes(folder / 'train', dict(blue=8, green=8, red=8), 0)
    write_classes(folder / 'val', dict(blue=3, green=2, red=2), 1)
    return folder


@pytest.fixture(scope='session')
def finetuned(tmp_path_factory, class_photos) -> Path:
    """work_dir of a fine-tuning of four epochs."""
    folder = tmp_path_factory.mktemp('finetuned')
    options = class_options(class_photos, epochs=4, train_cfg__val_interval=4, model__data_preprocessor__mixup=None)
    ended = train(FINETUNE, '--work-dir', folder, *options)
    assert 'batch 8 = 8 images x 1 process x 1 accumulated' in ended.out
    return folder


@pytest.fixture(scope='session')
def pretrained(tmp_path_factory, class_photos) -> Path:
    """work_dir of an MAE pre-training on the images of three classes."""
    folder = tmp_path_factory.mktemp('pretrained')
    config = REPOSITORY / 'configs' / 'mae_pretrain_vitb.py'
    train(config, '--work-dir', folder, '--amp', 'off', *small(class_photos, 8, 2))
    return folder
