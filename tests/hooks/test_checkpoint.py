"""When checkpoints are written, which are kept, what happens on a full disk and on a signal."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from unittest import mock

import pytest
from mmengine.hooks import Hook

from mae_transfer.errors import UserError
from mae_transfer.hooks import CheckpointHook, checkpoint
from mae_transfer.registry import HOOKS
from mae_transfer.runner import StrictRunner
from mae_transfer.runs.stop_signals import CAN_GO_ON, STOPPING, Stopped
from mae_transfer.vit.weights.checkpoint import read_checkpoint
from mae_transfer.whole_files import PART
from tests.helpers import photo_folder, pretraining


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """24 photos, of which 12 are trained on: six iterations an epoch."""
    return photo_folder(tmp_path_factory.mktemp('photos'), 24)


@pytest.fixture(autouse=True)
def handlers_stay():
    """Whatever a run that was stopped left."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@HOOKS.register_module(force=True)
class Act(Hook):
    """Calls ``act(runner)`` before each iteration."""

    act = staticmethod(lambda runner: None)

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.act(runner)


def run(photos, folder, act=lambda runner: None, total=2, **settings) -> StrictRunner:
    """Two epochs with ``settings`` for the hook."""
    cfg = pretraining(photos, folder, dict(type='Act'), total_batch_size=total, base_lr=0.1)
    cfg.optim_wrapper.optimizer.pop('lr')
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', **settings)
    with mock.patch.object(Act, 'act', staticmethod(act)):
        runner = StrictRunner.from_cfg(cfg)
        try:
            runner.train()
        finally:
            runner.logger.handlers[0].flush()
    return runner


def names(folder) -> list[str]:
    return sorted(path.name for path in Path(folder).glob('*.pth*'))


@pytest.mark.parametrize('background', [False, True])
@pytest.mark.parametrize(
    'settings, left',
    [
        (dict(interval=1), ['epoch_1.pth', 'epoch_2.pth']),
        (dict(interval=1, max_keep_ckpts=1), ['epoch_2.pth']),
        (dict(interval=2, by_epoch=False, max_keep_ckpts=2), ['iter_10.pth', 'iter_12.pth']),
        (dict(interval=-1), ['epoch_2.pth']),
    ],
)
def test_the_newest_are_kept(photos, tmp_path, settings, left, background):
    run(photos, tmp_path, **settings, background=background)
    assert names(tmp_path) == left
    assert (tmp_path / 'last_checkpoint').read_text().endswith(left[-1])


def test_one_is_written_every_so_many_minutes(photos, tmp_path):
    clock = iter(range(0, 100_000, 60))  # a minute passes between two looks
    with mock.patch.object(checkpoint.time, 'monotonic', lambda: next(clock)):
        run(photos, tmp_path, interval=1, minutes=2.5)
    found = names(tmp_path)
    assert 'epoch_1.pth' in found and 'epoch_2.pth' in found and len(found) > 4
    assert read_checkpoint(tmp_path / found[2])['meta']['epoch'] in (0, 1)


def test_none_is_written_while_gradients_are_accumulated(photos, tmp_path):
    """Six iterations an epoch, four for a step: the first epoch ends within a step."""
    run(photos, tmp_path, total=8, interval=1)
    meta = read_checkpoint(tmp_path / 'epoch_1.pth')['meta']
    assert (meta['epoch'], meta['iter']) == (1, 8)


@pytest.mark.parametrize('number', STOPPING)
def test_a_signal_stops_the_run_after_the_step_with_a_checkpoint(photos, tmp_path, number):
    def act(runner):
        if runner.iter == 4:
            os.kill(os.getpid(), number)

    with pytest.raises(
        Stopped, match=rf'stopped by {number.name} after 6 iterations; iter_6.pth was written: go on by'
    ):
        run(photos, tmp_path, act, total=4, interval=1)
    assert Path((tmp_path / 'last_checkpoint').read_text()).name == 'iter_6.pth'


@pytest.mark.parametrize('is_written', [True, False])
def test_a_signal_in_a_validation_stops_it_if_the_step_s_checkpoint_was_written(is_written, photos, tmp_path):
    cfg = pretraining(photos, tmp_path)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1 if is_written else 2)
    runner, seen = StrictRunner.from_cfg(cfg), []

    class Signal(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen.append((runner.epoch, batch_idx))
            if len(seen) == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    runner.register_hook(Signal())
    wrote = '6 iterations; epoch_1.pth' if is_written else '7 iterations; iter_7.pth'
    with pytest.raises(Stopped, match=f'stopped by SIGTERM after {wrote} was written: go on by --resume'):
        runner.train()
    assert seen[-1] == ((1, 1) if is_written else (1, len(runner.val_dataloader) - 1))
    assert read_checkpoint(tmp_path / wrote.split()[-1])['meta']['iter'] == int(wrote[0])


def test_the_exit_codes_tell_a_stop_from_ctrl_c():
    assert Stopped(signal.SIGTERM, '').exit_code == Stopped(signal.SIGUSR1, '').exit_code == CAN_GO_ON
    assert Stopped(signal.SIGINT, '').exit_code == 130


def test_a_second_ctrl_c_ends_at_once(photos, tmp_path):
    class Ended(Exception):
        """Instead of the end of this process."""

    def act(runner):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with mock.patch('mae_transfer.runs.stop_signals.os._exit', side_effect=Ended) as ended, pytest.raises(Ended):
        run(photos, tmp_path, act, interval=1)
    ended.assert_called_once_with(130)


def test_signals_are_handled_as_before_after_a_run(photos, tmp_path):
    before = [signal.getsignal(number) for number in STOPPING]
    run(photos, tmp_path, interval=1)
    assert [signal.getsignal(number) for number in STOPPING] == before


def full_disk(after: int):
    """Replaces ``fsync``: the disk is full after so many files."""
    calls, fsync = [], os.fsync

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    return mock.patch.object(os, 'fsync', full)


@pytest.mark.parametrize('background', [False, True])
def test_a_run_goes_on_when_the_disk_is_full(photos, tmp_path, background):
    with full_disk(after=6):  # run.json, folder; file, folder; last_checkpoint, folder
        with pytest.raises(UserError, match='the last checkpoint of the run could not be written'):
            run(photos, tmp_path, interval=2, by_epoch=False, max_keep_ckpts=1, background=background)
    assert names(tmp_path) == ['iter_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_2.pth')
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert log.count('iter_4.pth was not written: No space left on device') == 1
    assert 'iter_2.pth is intact' in log and 'iter_12.pth was not written' in log


@pytest.mark.parametrize('background', [False, True])
def test_or_ends_if_it_is_told_to(photos, tmp_path, background):
    with full_disk(after=4), pytest.raises(UserError, match='cannot be written to .*: make room there, then --resume'):
        run(photos, tmp_path, interval=2, by_epoch=False, on_save_error='stop', background=background)
    assert names(tmp_path) == ['iter_2.pth']


def test_what_a_killed_run_left_unfinished_is_removed(photos, tmp_path):
    (tmp_path / f'iter_3.pth{PART}').write_bytes(b'half')
    run(photos, tmp_path, interval=1)
    assert names(tmp_path) == ['epoch_1.pth', 'epoch_2.pth']


@pytest.mark.parametrize('settings', [dict(minutes=0), dict(minutes=-1), dict(on_save_error='retry')])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UserError, match=f'CheckpointHook.{next(iter(settings))} is'):
        CheckpointHook(**settings)


def test_several_processes_that_follow_a_step_later_write_one_checkpoint(photos, tmp_path):
    """Of 12 iterations, a minute each: one is due every five."""

    class Later:
        """An agreement as of several processes."""

        asked = 0

        def __call__(self, request: int) -> int:
            agreed, self.asked = self.asked, request
            return agreed

    clock = iter(range(0, 100_000, 60))
    with mock.patch.object(checkpoint.time, 'monotonic', lambda: next(clock)):
        with mock.patch.object(checkpoint, 'Agreement', Later):
            run(photos, tmp_path, interval=-1, minutes=4.5)
    written = [int(name[5:-4]) for name in names(tmp_path) if name.startswith('iter_')]
    assert len(written) >= 2 and min(b - a for a, b in zip(sorted(written), sorted(written)[1:])) > 1


def test_the_best_is_removed_after_a_better_one_is_written(photos, tmp_path):
    losses = iter([3.0, 4.0, 2.0])
    there: list[list[str]] = []

    def score(self, size):
        there.append(sorted(path.name for path in tmp_path.glob('best_*')))
        return {'loss': next(losses)}

    cfg = pretraining(photos, tmp_path)
    cfg.train_cfg.val_interval = 1
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1, save_best='loss', rule='less')
    with mock.patch('mmengine.evaluator.Evaluator.evaluate', score):
        runner = StrictRunner.from_cfg(cfg)
        writer = runner.checkpoint_writer

        def note(path, *args, **kwargs):
            write = writer(path, *args, **kwargs)

            def written():
                write()
                there.append(sorted(path.name for path in tmp_path.glob('best_*')))

            return written

        runner.checkpoint_writer = note
        runner.train()
    assert there[-2:] == [['best_loss_epoch_1.pth', 'best_loss_epoch_3.pth'], ['best_loss_epoch_3.pth']]
    info = read_checkpoint(tmp_path / 'epoch_3.pth')['message_hub']['runtime_info']
    assert info['best_score'] == 2.0 and Path(info['best_ckpt']).name == 'best_loss_epoch_3.pth'
