"""A loss that is not finite ends the run before a checkpoint is saved."""

import pytest
import torch
from mmengine.hooks import Hook

from mae_transfer.errors import UserError
from mae_transfer.runner import StrictRunner
from tests.helpers import photo_folder, pretraining


class Poison(Hook):
    """Set a bias of the model to a value before an iteration, counted from 1."""

    def __init__(self, iteration: int, value: float = float('nan')):
        self.iteration, self.value = iteration, value

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            torch.nn.init.constant_(runner.model.decoder.pred.bias, self.value)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return photo_folder(tmp_path_factory.mktemp('photos'))


def run(photos, work_dir, poison=None, interval=50, **changes) -> StrictRunner:
    """Train with the hook; the runner has ``error`` if it stopped the run."""
    runner = StrictRunner.from_cfg(
        pretraining(photos, work_dir, dict(type='NonFiniteLossHook', interval=interval), **changes)
    )
    if poison:
        runner.register_hook(poison)
    try:
        runner.train()
    except UserError as error:
        runner.error = str(error)
    return runner


def saved(work_dir) -> list[str]:
    return sorted(path.name for path in work_dir.glob('*.pth'))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_no_checkpoint_is_written_after_the_failure(photos, tmp_path, value):
    runner = run(photos, tmp_path, Poison(4, value))  # in the second of three epochs
    assert 'the loss of iteration 4 is not finite' in runner.error and '\n' not in runner.error
    assert saved(tmp_path) == ['epoch_1.pth']
    assert runner.iter == 4


@pytest.mark.parametrize(
    'poisoned, expected', [(1, []), (3, ['iter_2.pth']), (4, ['iter_2.pth']), (5, ['iter_2.pth', 'iter_4.pth'])]
)
def test_no_checkpoint_by_iterations_is_written_after_the_failure(photos, tmp_path, poisoned, expected):
    cfg = pretraining(photo_folder(tmp_path / 'photos', 10), tmp_path)
    cfg.train_dataloader.batch_size = 1  # five iterations: at a new epoch MMEngine sleeps two seconds
    runner = run(
        tmp_path / 'photos',
        tmp_path,
        Poison(poisoned),
        train_dataloader=cfg.train_dataloader,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=5, val_interval=100),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False)),
    )
    assert f'the loss of iteration {poisoned} is not finite' in runner.error
    assert saved(tmp_path) == expected


@pytest.mark.parametrize('interval, last', [(1, 1), (3, 3), (50, 4)])
def test_the_result_is_read_every_interval_and_at_the_end_of_an_epoch(photos, tmp_path, interval, last):
    cfg = pretraining(photos, tmp_path)
    cfg.train_dataloader.batch_size = 1  # four iterations an epoch
    runner = run(photos, tmp_path, Poison(1), interval, train_dataloader=cfg.train_dataloader)
    assert 'iteration 1 ' in runner.error
    assert runner.iter + (last < 4) == last  # the loop counts an iteration after its hooks


def test_a_run_with_finite_losses_is_not_stopped(photos, tmp_path):
    runner = run(photos, tmp_path, interval=1)
    assert not hasattr(runner, 'error') and runner.iter == 6
    assert saved(tmp_path) == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']
