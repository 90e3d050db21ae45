"""The PCA basis, fitted before training starts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.hooks import fit_target
from mae_transfer.pretraining import pca_target
from mae_transfer.runner import StrictRunner
from tests.helpers import photo_folder, pretraining

HOOK = dict(type='FitTargetHook', batch_size=3)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'), 16)


def runner_of(photos, work_dir, *hooks, target=None, **changes) -> StrictRunner:
    cfg = pretraining(photos, work_dir, *hooks, **changes)
    cfg.model.target = dict(target or dict(type='PCATarget', components=5))
    cfg.train_cfg.max_epochs = 1
    return StrictRunner.from_cfg(cfg)


@pytest.fixture(scope='module')
def run(photos, tmp_path_factory):
    runner = runner_of(photos, tmp_path_factory.mktemp('run'), HOOK, log_level='INFO')
    runner.train()
    [log] = Path(runner.work_dir).glob('*/*.log')
    return runner, log.read_text().splitlines()


def test_training_has_a_basis_and_the_log_says_what_it_was_fitted_to(run):
    runner, lines = run
    assert runner.model.target.ready
    fitted, prepared = [line for line in lines if 'PCATarget' in line and ' - INFO - ' in line]
    assert 'PCATarget: fitted to 128 patches; 5 of 48 components explain' in fitted and '% of the variance' in fitted
    assert 'PCATarget prepared from 8 training images in' in prepared


def fit(photos, work_dir, rank: int = 0, world: int = 1, **changes) -> tuple[torch.Tensor, torch.Tensor]:
    """Statistics of one of ``world`` processes, and the basis fitted to them alone; nothing is trained."""
    runner = runner_of(photos, work_dir, **changes)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    sums = []
    with (
        mock.patch.object(fit_target, 'get_rank', lambda: rank),
        mock.patch.object(fit_target, 'get_world_size', lambda: world),
        mock.patch.object(pca_target, 'all_reduce', lambda total: sums.append(total.clone())),
    ):
        fit_target.FitTargetHook(batch_size=3).before_train(runner)
    return sums[0], runner.model.target.basis


def test_two_processes_share_the_photos(photos, tmp_path, run):
    whole, basis = fit(photos, tmp_path / 'whole')
    parts = [fit(photos, tmp_path / f'part{rank}', rank, 2)[0] for rank in range(2)]
    assert [part[0, 0].item() for part in parts] == [64.0, 64.0]
    assert_close(sum(parts), whole, rtol=1e-12, atol=1e-9)
    assert_close(basis, run[0].model.target.basis, rtol=0, atol=0)


@pytest.mark.parametrize('change', ['workers', 'seed', 'batch'])
def test_neither_workers_nor_seed_nor_batch_size_change_the_basis(photos, tmp_path, run, change):
    changes = dict(randomness=dict(seed=5)) if change == 'seed' else {}
    if change != 'seed':
        loader = pretraining(photos, tmp_path).train_dataloader
        loader.update(dict(num_workers=2) if change == 'workers' else dict(batch_size=1))
        changes['train_dataloader'] = loader
    assert_close(fit(photos, tmp_path, **changes)[1], run[0].model.target.basis, rtol=0, atol=0)


def test_it_reads_no_more_photos_than_the_target_asks_for(photos, tmp_path):
    assert fit(photos, tmp_path / 'all')[0][0, 0] == 8 * 16
    assert fit(photos, tmp_path / 'some', target=dict(type='PCATarget', components=5, max_images=3))[0][0, 0] == 3 * 16


def test_the_same_photos_are_chosen_every_time():
    assert len(fit_target.choose_photos(100, 7)) == 7
    assert fit_target.choose_photos(100, 7) == fit_target.choose_photos(100, 50)[:7]
    assert len({index for index, _ in fit_target.choose_photos(100, 1000)}) == 100


def test_a_resumed_run_keeps_its_basis(photos, tmp_path, run):
    runner = runner_of(photos, tmp_path, HOOK, resume=True, load_from=f'{run[0].work_dir}/epoch_1.pth')
    with mock.patch('mae_transfer.pretraining.PCATarget.prepare') as prepared_again:
        runner.train()
    assert not prepared_again.called
    assert runner.model.target.ready and torch.equal(runner.model.target.basis, run[0].model.target.basis)


def test_no_photo_is_read_for_a_target_that_needs_none(photos, tmp_path):
    runner = runner_of(photos, tmp_path, target=dict(type='NormalizedPixelTarget'))
    with mock.patch.object(fit_target, 'DataLoader') as loader:
        fit_target.FitTargetHook().before_train(runner)
    assert not loader.called


def test_a_model_without_a_target_is_ignored():
    with mock.patch.object(fit_target, 'DataLoader') as loader:
        fit_target.FitTargetHook().before_train(SimpleNamespace(model=torch.nn.Linear(1, 1)))
    assert not loader.called


@pytest.mark.parametrize('workers', [0, 2])
def test_the_random_numbers_of_the_training_do_not_change(photos, tmp_path, workers):
    loader = pretraining(photos, tmp_path).train_dataloader
    runner = runner_of(photos, tmp_path, train_dataloader=dict(loader, num_workers=workers))
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    state = torch.get_rng_state()
    fit_target.FitTargetHook(batch_size=3).before_train(runner)
    assert runner.model.target.ready and torch.equal(torch.get_rng_state(), state)
