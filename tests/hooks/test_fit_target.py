"""The PCA basis, worked out before training."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch.testing import assert_close

from mae_transfer.hooks import fit_target
from mae_transfer.runner import LoudRunner
from tests.helpers import photo_folder, pretraining

HOOK = dict(type='FitTargetHook', batch_size=3)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'), 16)


def runner_of(photos, work_dir, *hooks, target=None, **changes) -> LoudRunner:
    cfg = pretraining(photos, work_dir, *hooks, **changes)
    cfg.model.target = dict(target or dict(type='PCATarget', components=5))
    cfg.train_cfg.max_epochs = 1
    return LoudRunner.from_cfg(cfg)


@pytest.fixture(scope='module')
def run(photos, tmp_path_factory):
    runner = runner_of(photos, tmp_path_factory.mktemp('run'), HOOK, log_level='INFO')
    with mock.patch.object(runner.logger, 'info', wraps=runner.logger.info) as info:
        runner.train()
    return runner, [call.args[0] for call in info.call_args_list]


def test_training_has_a_basis_and_the_log_says_of_what(run):
    runner, lines = run
    assert runner.model.target.fitted
    [line] = [line for line in lines if line.startswith('PCATarget')]
    assert 'fitted to 128 patches of 8 photos; 5 of 48 components hold' in line and '% of the variance' in line


def fit(photos, work_dir, rank: int = 0, world: int = 1, **changes) -> tuple[torch.Tensor, torch.Tensor]:
    """What one of ``world`` processes adds, and the basis that it would have alone; nothing is trained."""
    runner = runner_of(photos, work_dir, **changes)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    sums = []
    with (
        mock.patch.object(fit_target, 'get_rank', lambda: rank),
        mock.patch.object(fit_target, 'get_world_size', lambda: world),
        mock.patch.object(fit_target, 'all_reduce', lambda total: sums.append(total.clone())),
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
def test_nothing_that_should_not_matter_changes_the_basis(photos, tmp_path, run, change):
    changes = dict(randomness=dict(seed=5)) if change == 'seed' else {}
    if change != 'seed':
        loader = pretraining(photos, tmp_path).train_dataloader
        loader.update(dict(num_workers=2) if change == 'workers' else dict(batch_size=1))
        changes['train_dataloader'] = loader
    assert_close(fit(photos, tmp_path, **changes)[1], run[0].model.target.basis, rtol=0, atol=0)


def test_it_looks_at_no_more_photos_than_it_may(photos, tmp_path):
    total, _ = fit(photos, tmp_path, model=dict(pretraining(photos, tmp_path).model))
    assert total[0, 0] == 8 * 16
    assert len(fit_target.chosen_photos(100, 7)) == 7
    assert fit_target.chosen_photos(100, 7) == fit_target.chosen_photos(100, 50)[:7]
    assert len({index for index, _ in fit_target.chosen_photos(100, 1000)}) == 100


def test_a_resumed_run_keeps_its_basis(photos, tmp_path, run):
    runner = runner_of(photos, tmp_path, HOOK, resume=True, load_from=f'{run[0].work_dir}/epoch_1.pth')
    with mock.patch('mae_transfer.pretrain.PCATarget.fit') as fit_again:
        runner.train()
    assert not fit_again.called and runner.model.target.fitted


def test_other_targets_and_the_random_numbers_are_left_alone(photos, tmp_path, run):
    runner = runner_of(photos, tmp_path, target=dict(type='NormalizedPixelTarget'))
    fit_target.FitTargetHook().before_train(runner)
    state = torch.get_rng_state()
    run[0].model.target.fitted = False
    run[0].train_dataloader  # noqa: B018  built already
    fit_target.FitTargetHook().before_train(run[0])
    assert run[0].model.target.fitted and torch.equal(torch.get_rng_state(), state)
