"""Recipes fitted to few images, short runs and few cores."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.api.small_sets import STEPS_PER_EPOCH, fitted
from mae_transfer.checks import check_length, check_loaders
from mae_transfer.optim.batch_plan import plan_of
from mae_transfer.settings import change_settings, read_config
from tests.tools.commands import REPOSITORY

CONFIGS = {
    name: read_config(REPOSITORY / f'configs/{name}.py')
    for name in ('mae_pretrain_vitb', 'in1k_finetune_vitb', 'in1k_linprobe_vitb', 'coco_maskrcnn_vitb')
}


@settings(deadline=None, max_examples=40)
@given(
    name=st.sampled_from(sorted(CONFIGS)),
    images=st.integers(8, 10_000_000),
    epochs=st.integers(1, 2000),
    processes=st.sampled_from([1, 2, 8]),
)
def test_what_comes_out_can_be_trained(name, images, epochs, processes):
    cfg = change_settings(CONFIGS[name], [('max_epochs', epochs)])
    changes, notes = fitted(cfg, {'max_epochs': epochs}, images, processes)
    changed = change_settings(cfg, changes)
    plan = plan_of(changed, processes)
    check_loaders(changed, 'train')
    check_length(changed)
    assert plan.total <= max(2 * processes, images // STEPS_PER_EPOCH) and plan.total <= cfg.total_batch_size
    assert plan.per_gpu <= max(1, cfg.train_dataloader.batch_size) and changed.warmup <= cfg.warmup
    assert plan.base_lr == cfg.base_lr
    assert bool(notes) == bool(changes)
    if images // STEPS_PER_EPOCH >= cfg.total_batch_size:
        assert plan.total == cfg.total_batch_size


def test_two_hundred_photos():
    changes, notes = fitted(CONFIGS['mae_pretrain_vitb'], {}, 196, 1)
    assert dict(changes)['total_batch_size'] == 32 and dict(changes)['train_dataloader.batch_size'] == 32
    assert notes[0] == (
        "total_batch_size=32, train_dataloader.batch_size=32 for 196 images in an epoch, in place of the recipe's "
        '4096; the learning rate follows'
    )
    cfg = change_settings(CONFIGS['mae_pretrain_vitb'], [('repeat', 10)])
    assert dict(fitted(cfg, {}, 196, 1)[0])['total_batch_size'] == 256


def test_what_was_set_stays():
    cfg = CONFIGS['mae_pretrain_vitb']
    own = {'total_batch_size': 96, 'warmup': 40, 'train_dataloader.num_workers': 8}
    changes = dict(fitted(change_settings(cfg, [*own.items()]), own, 196, 1)[0])
    assert changes['train_dataloader.batch_size'] == 48  # 64 does not divide 96
    assert not own.keys() & changes.keys()
    own = {'train_dataloader.batch_size': 24}
    changes = dict(fitted(change_settings(cfg, [*own.items()]), own, 400, 1)[0])
    assert changes['total_batch_size'] == 96 and 'train_dataloader.batch_size' not in changes


@pytest.mark.parametrize('iterations, expected', [(20, 2), (1000, 100), (160000, None)])
def test_a_warm_up_in_steps(iterations, expected):
    cfg = read_config(REPOSITORY / 'configs/ade20k_upernet_vitb.py', [f'max_iters={iterations}'])
    changes = dict(fitted(cfg, {}, None, 1)[0])
    assert changes.get('warmup') == expected and 'total_batch_size' not in changes
    check_length(change_settings(cfg, [*changes.items()]))


def test_no_more_workers_than_cores(monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {0, 1, 2})
    changes, notes = fitted(CONFIGS['in1k_finetune_vitb'], {'val_dataloader.num_workers': 8}, None, 1)
    assert dict(changes) == {'train_dataloader.num_workers': 3, 'test_dataloader.num_workers': 3}
    assert notes == ['num_workers=3 for each data loader: this process may use 3 cores']
