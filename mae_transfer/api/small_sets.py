"""Recipes for a million images, fitted to the user's own: batch, warm-up and workers that were not set."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from mmengine.config import Config

from ..kinds import data_loaders
from ..settings import Changes

#: The least steps of the optimiser in an epoch: fewer would make a warm-up and a schedule of epochs coarse.
STEPS_PER_EPOCH = 4


def fitted(cfg: Config, given: Collection[str], images: int | None, processes: int) -> tuple[Changes, list[str]]:
    """What a recipe needs to be changed for few images, short runs and few cores; what the user has set stays.

    - ``total_batch_size``, in recipes that count epochs: at most a quarter of the images of an epoch, as a power of
      two, so that an epoch has four steps or more. The learning rate follows, as ``base_lr`` is per 256 images.
    - ``train_dataloader.batch_size``: the largest number up to the recipe's that divides the total.
    - ``warmup``: at most a tenth of the run.
    - ``num_workers``: at most the cores that this process may use.

    Args:
        given: the dotted keys that the user has set.
        images: that are trained on; None where that is not counted.

    Returns:
        The changes, and a line for each kind of them.
    """
    changes, notes = [], []
    for found, note in (_batch(cfg, given, images, processes), _warmup(cfg, given), workers(cfg, given)):
        changes += found
        notes += [note] if found else []
    return changes, notes


def _batch(cfg: Config, given: Collection[str], images: int | None, processes: int) -> tuple[Changes, str]:
    loader, total = cfg.get('train_dataloader'), cfg.get('total_batch_size')
    if not isinstance(loader, Mapping) or not isinstance(total, int):
        return [], ''
    changes: Changes = []
    batch, has_batch = loader.get('batch_size', 1), 'train_dataloader.batch_size' in given
    per_epoch = None if images is None else images * loader.get('repeat', 1)
    if per_epoch and 'max_epochs' in cfg.train_cfg and 'total_batch_size' not in given:
        least = batch * processes if has_batch and isinstance(batch, int) else 2 * processes
        most = max(least, per_epoch // STEPS_PER_EPOCH)
        if total > most:
            total = most // least * least if has_batch else processes * 2 ** ((most // processes).bit_length() - 1)
            changes.append(('total_batch_size', total))
    if not has_batch and isinstance(batch, int) and total % processes == 0:
        crops = (loader.get('sampler') or {}).get('repeats', 1)
        own = total // processes
        divisors = [size for size in range(1, min(batch, own) + 1) if own % size == 0 and size % crops == 0]
        if divisors and divisors[-1] != batch:
            changes.append(('train_dataloader.batch_size', divisors[-1]))
    values = ', '.join(f'{key}={value}' for key, value in changes)
    if total == cfg.total_batch_size:
        return changes, f'{values}, of which total_batch_size={total} is a multiple'
    return changes, (
        f"{values} for {per_epoch} images in an epoch, in place of the recipe's {cfg.total_batch_size}; the learning "
        'rate follows'
    )


def _warmup(cfg: Config, given: Collection[str]) -> tuple[Changes, str]:
    length = cfg.get('train_cfg') or {}
    unit = 'max_iters' if 'max_iters' in length else 'max_epochs'
    if 'warmup' in given or not isinstance(cfg.get('warmup'), (int, float)) or unit not in length:
        return [], ''
    run = length[unit]
    most = max(2, run // 10) if unit == 'max_iters' else run / 10
    if cfg.warmup <= most:
        return [], ''
    return [('warmup', most)], f"warmup={most:g}, a tenth of the run, in place of the recipe's {cfg.warmup:g}"


def workers(cfg: Config, given: Collection[str]) -> tuple[Changes, str]:
    """The part of :func:`fitted` that an evaluation needs: the workers, and a line."""
    cores = len(os.sched_getaffinity(0))
    places = [f'{loader}.num_workers' for loader in data_loaders(cfg)]
    numbers = [settings.get('num_workers', 0) for settings in data_loaders(cfg).values()]
    changes: Changes = [
        (place, cores)
        for place, number in zip(places, numbers)
        if place not in given and isinstance(number, int) and number > cores
    ]
    return changes, f'num_workers={cores} for each data loader: this process may use {cores} cores'
