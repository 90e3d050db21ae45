"""Settings of data loaders in a config, completed for PyTorch and MMEngine; and loaders without a batch."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence, Sized
from itertools import combinations
from typing import Any

import torch
from mmengine.dataset import InfiniteSampler
from torch.utils.data import DataLoader

from ...errors import UserError
from ...paths import shown, user_path
from ..files.image_files import warn_once


def loader_settings(settings: Mapping[str, Any]) -> dict:
    """The settings of a data loader that MMEngine can build.

    A data set whose ``data_root`` is a list becomes a concatenation of data sets, one for each root. Without workers,
    ``persistent_workers`` and ``prefetch_factor``, which PyTorch would refuse, are removed. With ``repeat`` an epoch is
    that many passes over the data. Where there is a GPU, and only there, batches lie in memory that it can copy from by
    itself (``pin_memory``).
    """
    settings = dict(settings)
    settings['pin_memory'] = torch.cuda.is_available() and settings.get('pin_memory', True)
    if isinstance(settings.get('dataset'), Mapping):
        settings['dataset'] = dataset_settings(settings['dataset'])
    if (times := settings.pop('repeat', 1)) != 1:
        settings['dataset'] = dict(type='mae_transfer.RepeatDataset', dataset=settings['dataset'], times=times)
    if not settings.get('num_workers'):
        for key in ('persistent_workers', 'prefetch_factor'):
            settings.pop(key, None)
    return settings


def dataset_settings(settings: Mapping[str, Any]) -> dict:
    """The settings of a data set, where a list of ``data_root``, also inside wrappers, becomes a ``ConcatDataset``."""
    settings = dict(settings)
    if isinstance(settings.get('dataset'), Mapping):
        return dict(settings, dataset=dataset_settings(settings['dataset']))
    if 'datasets' in settings:
        return dict(settings, datasets=[dataset_settings(part) for part in settings['datasets']])
    roots = settings.get('data_root')
    if not isinstance(roots, (list, tuple)):
        return settings
    _tell_repeated(roots)
    return dict(type='mae_transfer.ConcatDataset', datasets=[dict(settings, data_root=root) for root in roots])


def _tell_repeated(roots: Sequence[Any]) -> None:
    """Tell in the log of data roots that are the same folder, or lie in each other: their images count twice."""
    places = {os.fspath(root): os.path.realpath(user_path(root)) for root in roots if isinstance(root, str)}
    if (count := len([root for root in roots if isinstance(root, str)])) > len(set(places.values())):
        warn_once(
            f'data_root names the same folder several times: {count} roots are {len(set(places.values()))} places'
        )
    for (one, first), (other, second) in combinations(places.items(), 2):
        inner, outer = (one, other) if len(first) > len(second) else (other, one)
        if first != second and os.path.commonpath([first, second]) in (first, second):
            warn_once(
                f"data_root: '{shown(inner)}' lies in '{shown(outer)}': its images count twice, and may be both "
                'trained on and held out; give one of the two'
            )


def check_makes_a_batch(loader: DataLoader, repeat: int | None) -> None:
    """Refuse a loader whose images are fewer than one batch, where an incomplete batch is dropped.

    Args:
        repeat: passes over the images in an epoch, where that is a setting.

    Raises:
        UserError: an epoch would have no batch.
    """
    size, endless = loader.batch_size, isinstance(loader.sampler, InfiniteSampler)
    if not isinstance(loader.dataset, Sized) or not size or not loader.drop_last or endless:
        return
    sampler: Any = loader.sampler
    count = len(sampler)
    if count < size:
        passes = f' repeat={math.ceil(size * repeat / count)},' if repeat and count else ''
        raise UserError(
            f'{len(loader.dataset)} images, {count} for each process, make no batch of {size}: give '
            f'more,{passes} or lower train_dataloader.batch_size and total_batch_size'
        )
