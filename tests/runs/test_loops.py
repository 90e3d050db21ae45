"""Loops begin at any batch without loading the ones before, and validate first what was due."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader, Dataset

from mae_transfer.data import SeededInfiniteSampler, SeededSampler
from mae_transfer.data.seeds import seed_step
from mae_transfer.runner import StrictRunner
from mae_transfer.runs.loops import batches_from
from tests.helpers import photo_folder, pretraining


class Counted(Dataset):
    """Its items are their keys; which were loaded is noted."""

    def __init__(self):
        self.loaded = []

    def __len__(self) -> int:
        return 10

    def __getitem__(self, key):
        self.loaded.append(key)
        return key


@pytest.mark.parametrize('kind', [SeededSampler, SeededInfiniteSampler])
@pytest.mark.parametrize('begin', [0, 1, 3])
def test_nothing_is_loaded_before_the_first_batch(kind, begin):
    def batches(first):
        data = Counted()
        loader = DataLoader(data, 2, sampler=kind(data, seed=1), collate_fn=tuple)
        return list(islice(batches_from(loader, first), 5 - first)), data.loaded

    whole, _ = batches(0)
    found, loaded = batches(begin)
    assert found == whole[begin:] and len(loaded) == 2 * (5 - begin)


def test_with_another_sampler_the_batches_before_are_dropped():
    data = Counted()
    loader = DataLoader(data, 2, sampler=DefaultSampler(data, seed=1), collate_fn=tuple)
    assert list(batches_from(loader, 3)) == list(loader)[3:]


def test_what_a_step_draws_depends_on_nothing_before_it():
    def draws():
        return torch.rand(1).item(), np.random.rand(), np.random.randint(9)

    seed_step(1, 2, 3)
    first = draws()
    draws()
    seed_step(1, 2, 3)
    assert draws() == first
    others = []
    for key in ((0, 2, 3), (1, 3, 3), (1, 2, 4)):
        seed_step(*key)
        others.append(draws())
    assert len({first, *others}) == 4


@pytest.mark.parametrize(
    'loop', [dict(type='EpochBasedTrainLoop', max_epochs=3), dict(type='IterBasedTrainLoop', max_iters=6)]
)
@pytest.mark.parametrize('stopped, validations', [(2, 3), (3, 2), (4, 2)])
def test_a_validation_that_was_due_is_made_first(tmp_path, loop, stopped, validations):
    """Two iterations an epoch, a validation after each; the file is of the place before the validation."""
    interval = 1 if 'max_epochs' in loop else 2
    cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run', train_cfg=dict(loop, val_interval=interval))
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1, by_epoch=False)
    StrictRunner.from_cfg(cfg).train()
    cfg.update(resume=True, load_from=str(tmp_path / f'run/iter_{stopped}.pth'), work_dir=str(tmp_path / 'resumed'))
    runner = StrictRunner.from_cfg(cfg)
    runner.build_val_loop = counting(runner.build_val_loop)
    runner.train()
    assert runner.build_val_loop.count == validations


def counting(build):
    """A builder of validation loops that counts their runs."""

    def built(loop):
        loop = build(loop)
        run = loop.run

        def counted():
            built.count += 1
            return run()

        loop.run = counted
        return loop

    built.count = 0
    return built
