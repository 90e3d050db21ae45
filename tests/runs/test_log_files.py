"""Logs on a full disk are told once, and the run goes on; a really full one, where it can be mounted."""

from __future__ import annotations

import errno
import logging
import re
import subprocess
from unittest import mock

import pytest

from mae_transfer import launch
from mae_transfer.runner import StrictRunner
from mae_transfer.runs.log_files import LocalVisBackend, tell_once
from tests.helpers import photo_folder, pretraining
from tests.tools.commands import CONFIG, run, small, write_photos

FULL = OSError(errno.ENOSPC, 'No space left on device')


def test_a_log_that_cannot_be_written_says_so_once(tmp_path, capsys):
    handler = logging.FileHandler(tmp_path / 'a.log')
    logger = logging.Logger('test')
    logger.addHandler(handler)
    tell_once(logger)
    with mock.patch.object(handler.stream, 'write', side_effect=FULL):
        for number in range(3):
            logger.info(f'line {number}')
    logger.info('line 3')
    handler.close()
    assert capsys.readouterr().err == f'error: the log {tmp_path}/a.log is not complete: No space left on device\n'
    assert (tmp_path / 'a.log').read_text() == 'line 3\n'


def test_scalars_that_cannot_be_written_do_not_end_a_run(tmp_path):
    backend = LocalVisBackend(str(tmp_path))
    backend.add_scalar('loss', 1.0, 1)
    with mock.patch('mae_transfer.runs.log_files.print_log') as told:
        with mock.patch('mmengine.visualization.vis_backend.dump', side_effect=FULL):
            backend.add_scalar('loss', 2.0, 2)
            backend.add_scalars(dict(loss=3.0), 3)
    assert told.call_count == 1 and 'scalars.json is not complete: No space left' in told.call_args[0][0]
    backend.add_scalar('loss', 4.0, 4)
    assert re.findall(r'"step": (\d)', (tmp_path / 'scalars.json').read_text()) == ['1', '4']


def test_a_run_has_both(tmp_path):
    cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run')
    cfg.visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    runner = StrictRunner.from_cfg(cfg)
    assert type(runner.visualizer.get_backend('LocalVisBackend')) is LocalVisBackend
    [handler] = [handler for handler in runner.logger.handlers if isinstance(handler, logging.FileHandler)]
    assert 'handleError' in vars(handler)


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_file_that_cannot_be_written_ends_a_tool_in_one_line(code, capsys):
    def fail():
        raise OSError(code, 'why', 'a/b.csv')

    with pytest.raises(SystemExit) as ended:
        launch.run_main(fail)
    assert ended.value.code == 1
    assert capsys.readouterr().err == 'error: a/b.csv cannot be written: why: make room there, then --resume\n'


def test_a_fault_of_ours_keeps_its_traceback():
    def fail():
        raise FileNotFoundError(errno.ENOENT, 'why', 'a')

    with pytest.raises(FileNotFoundError):
        launch.run_main(fail)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', str(folder)], capture_output=True).returncode:
        pytest.skip('a small disk cannot be mounted here: it takes root')
    yield folder
    subprocess.run(['umount', '--lazy', str(folder)], check=True)


@pytest.mark.slow
def test_a_run_on_a_full_disk_goes_on_and_the_last_whole_checkpoint_can_be_resumed(small_disk, tmp_path):
    options = small(write_photos(tmp_path / 'photos', 24), 8, 8, default_hooks__checkpoint__max_keep_ckpts=-1)
    ended = run('train.py', CONFIG, '--work-dir', small_disk / 'run', *options)
    assert ended.code == 2 and 'Traceback' not in ended.err + ended.out
    failed = re.findall(r'checkpoint \S+ was not written: No space left on device', ended.out)
    assert 1 <= len(failed) < 8
    assert 'the last checkpoint of the run could not be written' in ended.err
    whole = sorted((small_disk / 'run').glob('epoch_*.pth'), key=lambda path: int(path.stem[6:]))
    assert whole and not list((small_disk / 'run').glob('*.part'))
    for path in whole[:-1]:
        path.unlink()
    ended = run('train.py', CONFIG, '--work-dir', small_disk / 'run', *options[:-1], '--resume')
    assert f'resumed epoch: {len(whole)}' in ended.out
