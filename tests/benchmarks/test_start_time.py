"""benchmarks/start_time.py: from the command to the first iteration."""

from __future__ import annotations

import pytest

from mae_transfer.benchmarks import start_time
from mae_transfer.errors import UserError
from tests.tools.commands import call, error_line


def test_the_rows_take_turns_and_the_first_round_does_not_count(monkeypatch, tmp_path):
    asked = []
    seconds = dict(torch=2.0, libraries=5.0, mae_transfer=5.1)
    monkeypatch.setattr(start_time, 'import_time', lambda row: asked.append(row) or seconds[row] + len(asked) / 100)
    monkeypatch.setattr(start_time, 'first_iteration_time', lambda config, images: asked.append('first') or 7.0)
    found = start_time.measure('a.py', tmp_path, 2)
    assert asked[:8] == ['torch', 'libraries', 'mae_transfer', 'first', 'first', 'mae_transfer', 'libraries', 'torch']
    assert found['first iteration'] == [7.0, 7.0] and found['torch'][0] == pytest.approx(2.08)
    rows = start_time.table(found).splitlines()
    assert rows[2].startswith('| torch | 2.0') and rows[-1].startswith('| first iteration | 7.00 (7.00 to 7.00) | 1.')


def test_a_run_that_ends_before_its_first_iteration_is_told(tmp_path):
    with pytest.raises(UserError, match='ended before its first iteration: error: .*does not exist'):
        start_time.first_iteration_time('mae_transfer::small/mae_pretrain.py', tmp_path / 'nowhere')


def test_what_cannot_be_measured_is_told(tmp_path):
    assert error_line(call('benchmark', 'start', '--images', tmp_path / 'x')).endswith(f'no folder {tmp_path / "x"}')
    assert error_line(call('benchmark', 'start', '--images', tmp_path, '--rounds', 0)).endswith('found 0')
