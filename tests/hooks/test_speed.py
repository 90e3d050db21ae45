"""How fast a training is, in its log."""

from __future__ import annotations

import time
from unittest import mock

import pytest
import torch
from mmengine.model import BaseModel

from mae_transfer.errors import UserError
from mae_transfer.hooks import SpeedHook, speed
from mae_transfer.pretraining import MAE
from mae_transfer.registry import MODELS
from mae_transfer.runner import StrictRunner
from mae_transfer.runs.fingerprint import fingerprint
from mae_transfer.runs.speed import FlopCount
from mae_transfer.vit.weights.checkpoint import read_checkpoint
from tests.helpers import photo_folder, pretraining

NAMES = ('images_per_second', 'waiting_share', 'matrix_share')


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """32 photos, of which 16 are trained on: eight iterations an epoch."""
    return photo_folder(tmp_path_factory.mktemp('photos'), 32)


def run(photos, folder, interval=2, epochs=1, resume=False, hook=None, **changes):
    """A run of eight iterations an epoch; returns the runner, and {iteration: logged values}."""
    cfg = pretraining(photos, folder, *([hook or dict(type='SpeedHook')] if hook is not False else []), **changes)
    cfg.default_hooks.logger.interval, cfg.resume = interval, resume
    cfg.log_processor = dict(type='LogProcessor')
    cfg.experiment_name = str(time.perf_counter_ns())  # MMEngine's hub is that of any run of this name and second
    cfg.train_cfg.update(max_epochs=epochs, val_interval=1)
    runner, lines = StrictRunner.from_cfg(cfg), {}
    add = runner.visualizer.add_scalars

    def note(tag, step, **settings):
        if 'lr' in tag:
            lines[step] = {name: tag[name] for name in NAMES if name in tag}
        add(tag, step=step, **settings)

    runner.visualizer.add_scalars = note
    runner.train()
    return runner, lines


def test_images_waiting_and_share_are_those_of_the_time_since_the_line_before(photos, tmp_path):
    """Each step takes 30 ms longer, each validation 500 ms; waiting is short; the rate is that of the FLOPs' half."""
    step = MAE.train_step
    counts = []

    def slow(self, *args, **kwargs):
        with FlopCount() as count:
            result = step(self, *args, **kwargs)
        counts.append(count.flops)
        time.sleep(0.03)
        return result

    def slow_validation(self, *args, **kwargs):
        time.sleep(0.5)
        return val_step(self, *args, **kwargs)

    val_step = MAE.val_step
    with (
        mock.patch.object(MAE, 'train_step', slow),
        mock.patch.object(MAE, 'val_step', slow_validation),
        mock.patch.object(speed, 'matrix_rate', lambda device, dtype: 1e6 if dtype is torch.float32 else None),
    ):
        _, lines = run(photos, tmp_path, epochs=2)
    assert list(lines) == [2, 4, 6, 8, 10, 12, 14, 16]
    assert lines[2] == {} and all(set(lines[number]) == set(NAMES) for number in list(lines)[1:])
    for values in (lines[number] for number in list(lines)[1:]):
        assert 4 < values['images_per_second'] < 2 / 0.03
        assert 0 < values['waiting_share'] < 0.9
        assert values['matrix_share'] == pytest.approx(values['images_per_second'] * counts[0] / 2 / 1e6)


def test_waiting_for_data_shows(photos, tmp_path):
    from mae_transfer.data.photos.unlabelled import collate_photos

    def slow(samples):
        time.sleep(0.1)
        return collate_photos(samples)

    cfg = pretraining(photos, tmp_path)
    _, lines = run(photos, tmp_path, train_dataloader=dict(cfg.train_dataloader, collate_fn=slow))
    assert all(0.3 < lines[number]['waiting_share'] <= 1 for number in (4, 6, 8))
    assert all(lines[number]['images_per_second'] < 20 for number in (4, 6, 8))


def test_a_resumed_run_measures_anew(photos, tmp_path):
    run(photos, tmp_path)
    stored = read_checkpoint(tmp_path / 'epoch_1.pth')['message_hub']['log_scalars']
    assert 'train/loss' in stored and not {f'train/{name}' for name in NAMES} & set(stored)
    _, lines = run(photos, tmp_path, epochs=2, resume=True)
    assert {number: set(values) for number, values in lines.items()} == {
        10: set(),
        **dict.fromkeys((12, 14, 16), set(NAMES)),
    }


def test_it_changes_nothing(photos, tmp_path):
    found = []
    for name, hook in (('with', dict(type='SpeedHook', warm_up=1)), ('without', False)):
        runner, _ = run(photos, tmp_path / name, hook=hook, epochs=2)
        assert 'train_step' not in vars(runner.model)
        found.append(fingerprint(read_checkpoint(tmp_path / name / 'epoch_2.pth')))
    assert found[0] == found[1]


def test_an_error_in_the_step_that_is_counted_leaves_no_mode_behind(photos, tmp_path):
    def fail(self, *args, **kwargs):
        raise RuntimeError('broken')

    with mock.patch.object(MAE, 'train_step', fail), pytest.raises(RuntimeError, match='broken'):
        run(photos, tmp_path)
    from torch.utils._python_dispatch import _get_current_dispatch_mode

    assert _get_current_dispatch_mode() is None


@MODELS.register_module()
class Scale(BaseModel):
    """A model of one number, without a matrix product."""

    def __init__(self):
        super().__init__(dict(type='PhotoPreprocessor'))
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, inputs, seeds=None, mode='loss'):
        loss = (inputs * self.scale).square().mean()
        return dict(loss=loss) if mode == 'loss' else [dict(loss=loss.item()) for _ in inputs]


def test_without_a_matrix_product_the_share_is_left_out_with_a_line(photos, tmp_path):
    with mock.patch('mmengine.logging.MMLogger.info') as info:
        _, lines = run(photos, tmp_path, model=dict(type='Scale'))
    said = [str(call.args[0]) for call in info.call_args_list]
    assert len([line for line in said if line.startswith('matrix_share is left out of the log: no matrix')]) == 1
    assert set(lines[4]) == {'images_per_second', 'waiting_share'}


@pytest.mark.parametrize('warm_up', [0, 1.5, 'x'])
def test_settings_that_mean_nothing_are_refused(warm_up):
    with pytest.raises(UserError, match='SpeedHook.warm_up is a number of forward passes, 1 or more'):
        SpeedHook(warm_up)
