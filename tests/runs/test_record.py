"""What a training keeps of how it was started and how it ended."""

from __future__ import annotations

import json
from unittest import mock

import pytest

from mae_transfer.compat.package_configs import CONFIGS, config_name
from mae_transfer.launch import configure
from mae_transfer.runner import StrictRunner
from tests.helpers import photo_folder, pretraining


def record_of(work_dir):
    (path,) = work_dir.glob('*/vis_data/run.json')
    return json.loads(path.read_text())


def runner_of(tmp_path, **changes):
    return StrictRunner.from_cfg(pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run', **changes))


def test_a_completed_training(tmp_path):
    runner = runner_of(tmp_path)
    with mock.patch('sys.argv', ['tools/train.py', 'a b.py']):
        runner.train()
    record = record_of(tmp_path / 'run')
    assert record['command'] == ['tools/train.py', 'a b.py'] and record['end'] == 'completed'
    assert (record['seed'], record['processes'], record['accumulation'], record['batch']) == (0, 1, 1, None)
    assert record['started'] <= record['ended'] and record['packages']['torch'] and record['device'].startswith('cpu: ')


def test_one_that_ends_early_says_why(tmp_path):
    runner = runner_of(tmp_path)
    with mock.patch.object(runner, 'call_hook', side_effect=OSError('no\nroom')), pytest.raises(OSError):
        runner.train()
    assert record_of(tmp_path / 'run')['end'] == 'ended early: no room'


def test_one_that_was_killed_has_no_end(tmp_path):
    runner = runner_of(tmp_path)

    def look(*_, **__):
        assert 'end' not in record_of(tmp_path / 'run')

    with mock.patch('mmengine.runner.Runner.train', look):
        runner.train()
    assert record_of(tmp_path / 'run')['end'] == 'completed'


def test_a_disk_that_cannot_be_written_to_ends_no_training(tmp_path, caplog):
    runner = runner_of(tmp_path)
    with mock.patch('mae_transfer.runs.record.written_whole', side_effect=OSError(28, 'No space left on device')):
        runner.train()
    assert not [*(tmp_path / 'run').glob('*/vis_data/run.json')]


def test_configs_of_the_package_have_its_name(tmp_path):
    assert config_name(str(CONFIGS / 'small' / 'mae_pretrain.py')) == 'mae_transfer::small/mae_pretrain.py'
    assert config_name('configs/mae_pretrain_vitb.py') == 'mae_transfer::mae_pretrain_vitb.py'
    assert config_name('my/config.py') == 'my/config.py' and config_name(None) is None
    cfg = configure('mae_transfer::mae_pretrain_vitb.py', [], str(tmp_path / 'run'))
    assert config_name(cfg.filename) == 'mae_transfer::mae_pretrain_vitb.py'
