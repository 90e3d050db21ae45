"""Steps that are not finite are left out, told and kept; tools/replay.py runs them again."""

from __future__ import annotations

import re
from unittest import mock

import pytest
import torch
from mmengine.hooks import Hook

from mae_transfer.errors import UserError
from mae_transfer.experiments.replay import replay
from mae_transfer.hooks import StepGuardHook
from mae_transfer.registry import MODELS
from mae_transfer.runner import StrictRunner
from mae_transfer.runs.host_copy import HostCopy
from mae_transfer.vit.weights.checkpoint import read_checkpoint
from tests.helpers import photo_folder, pretraining


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """24 photos, of which 12 are trained on: six iterations an epoch."""
    return photo_folder(tmp_path_factory.mktemp('photos'), 24)


@MODELS.register_module(force=True)
class Fragile(MODELS.get('MAE')):
    """An MAE whose loss is NaN for batches with a seed that ``breaks`` is true of, with batch norm."""

    breaks = staticmethod(lambda seed: False)

    def __init__(self, **settings):
        super().__init__(**settings)
        self.norm = torch.nn.BatchNorm1d(3)

    def forward(self, inputs, *args, mode='tensor', **kwargs):
        if mode == 'loss':
            broken = any(self.breaks(int(seed)) for seed in kwargs['seeds'])
            inputs = inputs * (float('nan') if broken else 1.0)
            self.norm(inputs.mean((2, 3)))
        return super().forward(inputs, *args, mode=mode, **kwargs)


class Note(Hook):
    """Keeps weights and moments after each iteration, and the seeds of its batch."""

    priority = 'LOWEST'

    def __init__(self):
        self.weights, self.seeds = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights.append({name: value.clone() for name, value in runner.model.state_dict().items()})
        self.seeds.append([int(seed) for seed in data_batch['seeds']])


def run(photos, folder, breaks=lambda seed: False, total=2, dtype='float32', fused=True, **settings):
    """Two epochs; the runner has ``noted``, ``told`` (warnings) and ``error``."""
    cfg = pretraining(photos, folder, dict(type='StepGuardHook', **settings), total_batch_size=total, base_lr=0.1)
    cfg.optim_wrapper.optimizer.pop('lr')
    cfg.optim_wrapper.optimizer.fused = fused
    cfg.optim_wrapper.dtype = dtype
    cfg.model.type = 'Fragile'
    cfg.train_cfg.max_epochs = 2
    runner, note = StrictRunner.from_cfg(cfg), Note()
    runner.register_hook(note)
    runner.noted, runner.error = note, None
    with (
        mock.patch.object(Fragile, 'breaks', staticmethod(breaks)),
        mock.patch.object(runner.logger, 'warning') as warning,
    ):
        try:
            runner.train()
        except UserError as error:
            runner.error = str(error)
    runner.told = [str(call.args[0]) for call in warning.call_args_list]
    return runner


class LateCopy(HostCopy):
    """Behaves as on a GPU, where the host looks at a step before the next one."""

    def __init__(self, value):
        super().__init__(value)
        self.is_there = False

    def read(self):
        return float(self._value)


@pytest.fixture(params=['at once', 'late'])
def looks(request, monkeypatch):
    if request.param == 'late':
        monkeypatch.setattr('mae_transfer.hooks.step_guard.HostCopy', LateCopy)


@pytest.fixture(scope='module')
def seeds(photos, tmp_path_factory):
    """The seeds of the twelve batches of a run."""
    return run(photos, tmp_path_factory.mktemp('whole')).noted.seeds


@pytest.mark.parametrize('fused', [True, False])
def test_a_step_that_is_not_finite_changes_nothing(looks, photos, seeds, tmp_path, fused):
    runner = run(photos, tmp_path, lambda seed: seed in seeds[4], fused=fused)
    before, after, later = runner.noted.weights[3:6]
    assert all(torch.equal(before[name], after[name]) for name in before if 'num_batches' not in name)
    assert not torch.equal(after['vit.cls_token'], later['vit.cls_token'])
    assert all(value.isfinite().all() for value in later.values())
    assert [line for line in runner.told if 'left out' in line] == [
        f'step left out, 1 in a row: the gradients after iteration 5 are not finite; tools/replay.py '
        f'{tmp_path}/steps_not_finite/iter_4.pth runs it again'
    ]


def test_all_passes_of_an_accumulation_are_left_out_with_it(looks, photos, seeds, tmp_path):
    runner = run(photos, tmp_path, lambda seed: seed == seeds[4][0], total=4)
    assert torch.equal(runner.noted.weights[3]['vit.cls_token'], runner.noted.weights[5]['vit.cls_token'])
    step = read_checkpoint(tmp_path / 'steps_not_finite/iter_4.pth')['meta']['step']
    assert step['iterations'] == 2 and len(step['losses']) == 2
    found = [[seed for _, seed in items] for items in step['items'][0]]
    assert found == seeds[4:6]


def test_the_norm_of_the_gradients_is_logged(looks, photos, tmp_path):
    runner = run(photos, tmp_path)
    norms = runner.message_hub.get_scalar('train/grad_norm').data[0]
    assert len(norms) == 12 and min(norms) > 0


def test_so_many_in_a_row_end_the_run(looks, photos, seeds, tmp_path):
    bad = {seed for batch in seeds[3:] for seed in batch}
    runner = run(photos, tmp_path, bad.__contains__, most=4)
    assert re.match('4 steps in a row are not finite, the last after iteration 7: lower base_lr', runner.error)
    assert '\n' not in runner.error
    assert len(list((tmp_path / 'steps_not_finite').iterdir())) == 3


def test_with_a_good_step_between_them_it_goes_on(looks, photos, seeds, tmp_path):
    bad = {seed for batch in seeds[2:12:2] for seed in batch}
    assert run(photos, tmp_path, bad.__contains__, most=2).error is None


def test_float16_may_search_its_scale(photos, tmp_path):
    runner = run(photos, tmp_path, dtype='float16', most=1)
    assert runner.error is None


def test_a_loss_that_jumps_is_told(photos, tmp_path):
    losses = iter([1.0] * 6 + [9.0] * 6)

    class Jump(StepGuardHook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            super().after_train_iter(runner, batch_idx, data_batch, dict(loss=torch.tensor(next(losses))))

    cfg = pretraining(photos, tmp_path)
    cfg.train_cfg.max_epochs = 2
    runner = StrictRunner.from_cfg(cfg)
    runner.register_hook(Jump(window=3))
    with mock.patch.object(runner.logger, 'warning') as warning:
        runner.train()
    told = [str(call.args[0]) for call in warning.call_args_list if 'jumped' in str(call.args[0])]
    assert [re.search(r'up to iteration (\d+)', line)[1] for line in told] == ['9', '12']


def test_a_step_that_was_left_out_is_run_again(photos, seeds, tmp_path):
    run(photos, tmp_path / 'run', lambda seed: seed == seeds[5][1], total=4)
    file = tmp_path / 'run/steps_not_finite/iter_4.pth'
    with mock.patch.object(Fragile, 'breaks', staticmethod(lambda seed: seed == seeds[5][1])):
        lines = list(replay(file, [], 'none', str(tmp_path / 'replay')))
    step = read_checkpoint(file)['meta']['step']
    assert lines[0] == '2 forward passes of 1 processes from iteration 4 on'
    assert lines[1:5] == [
        f'iteration {number}, process 0: {name}, seed {seed}'
        for number, items in zip((5, 6), step['items'][0])
        for name, seed in items
    ]
    then, now = re.fullmatch(r'loss then (\[.*\]), now (\[.*\])', lines[5]).groups()
    assert then == now and then.endswith('nan]')
    assert lines[6] == 'norm of the gradients then nan, now nan'
    assert lines[7].startswith('the first layer whose output is not finite: norm')


def test_a_file_without_a_step_is_refused(photos, tmp_path):
    run(photos, tmp_path / 'run')
    with pytest.raises(UserError, match='epoch_2.pth is no step that was left out: name a file of steps_not_finite/'):
        list(replay(tmp_path / 'run/epoch_2.pth', [], 'none', str(tmp_path / 'replay')))


def test_weights_that_are_not_finite_are_not_written(photos, tmp_path):
    class Overflow(Hook):
        priority = 'VERY_HIGH'

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.iter == 11:
                torch.nn.init.constant_(runner.model.decoder.pred.bias, float('inf'))

    cfg = pretraining(photos, tmp_path)
    cfg.train_cfg.max_epochs = 2
    runner = StrictRunner.from_cfg(cfg)
    runner.register_hook(Overflow())
    with pytest.raises(UserError, match='weights of the model are not finite after 12 iterations'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']


def test_another_optimiser_wrapper_is_refused(photos, tmp_path):
    cfg = pretraining(photos, tmp_path, dict(type='StepGuardHook'))
    cfg.optim_wrapper.type = 'OptimWrapper'
    cfg.optim_wrapper.pop('dtype')
    with pytest.raises(UserError, match="needs optim_wrapper.type='mae_transfer.AutocastOptimWrapper'.*'OptimWrapper'"):
        StrictRunner.from_cfg(cfg).train()


@pytest.mark.parametrize('settings', [dict(most=0), dict(most='x'), dict(window=2.5), dict(spike=1), dict(spike='x')])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UserError, match=f'StepGuardHook.{next(iter(settings))} is a'):
        StepGuardHook(**settings)
