"""The hook that ends a run of several processes in which one stands still; really stopped ones are in tests/tools."""

from __future__ import annotations

import pytest

from mae_transfer.errors import UserError
from mae_transfer.hooks import HeartbeatHook
from mae_transfer.runner import StrictRunner
from mae_transfer.runs.heartbeat import NoHeartbeat
from tests.helpers import photo_folder, pretraining


def test_a_single_process_watches_nobody(tmp_path):
    cfg = pretraining(photo_folder(tmp_path / 'photos'), tmp_path / 'run', dict(type='HeartbeatHook'))
    runner = StrictRunner.from_cfg(cfg)
    runner.train()
    assert type(runner.heartbeat) is NoHeartbeat


@pytest.mark.parametrize('seconds', [0, -1, True, '60', None])
def test_what_is_no_time_is_refused(seconds):
    with pytest.raises(UserError, match='HeartbeatHook.seconds is a number of seconds, above 0; found'):
        HeartbeatHook(seconds)
