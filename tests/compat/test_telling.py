"""One of several processes tells why a run ended."""

from __future__ import annotations

import os

import pytest

from mae_transfer.compat import telling


@pytest.fixture(autouse=True)
def two_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(telling.tempfile, 'gettempdir', lambda: str(tmp_path))
    monkeypatch.setenv('WORLD_SIZE', '2')
    for name in ('TORCHELASTIC_RESTART_COUNT', 'MAE_TRANSFER_LAUNCHER', 'SLURM_JOB_ID', 'SLURM_STEP_ID'):
        monkeypatch.delenv(name, raising=False)


def test_the_first_that_asks_tells(monkeypatch):
    assert [telling.is_first_to_tell() for _ in range(3)] == [True, False, False]
    assert telling.what_was_told(os.getppid()) == (True, '')
    telling.forget_told(os.getppid())
    assert telling.what_was_told(os.getppid()) == (False, '')
    assert telling.is_first_to_tell()


def test_a_single_process_always_tells(monkeypatch, tmp_path):
    monkeypatch.setenv('WORLD_SIZE', '1')
    assert [telling.is_first_to_tell() for _ in range(2)] == [True, True]
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_started_again_tells_again(monkeypatch):
    assert telling.is_first_to_tell()
    for count in ('1', '10'):
        monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', count)
        assert telling.leave_to_launcher('x') is False and telling.is_first_to_tell()
    monkeypatch.setenv('MAE_TRANSFER_LAUNCHER', str(os.getppid()))
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '11')
    assert telling.leave_to_launcher('error: y')
    assert telling.what_was_told(os.getppid()) == (False, 'error: y')


def test_a_line_is_left_only_to_a_launcher_that_tells_it(monkeypatch):
    assert not telling.leave_to_launcher('error: x')
    monkeypatch.setenv('MAE_TRANSFER_LAUNCHER', str(os.getpid()))  # of another run, further up
    assert not telling.leave_to_launcher('error: x')
    telling.tell_for(os.getppid())
    assert telling.leave_to_launcher('error: x')
    assert telling.what_was_told(os.getppid()) == (False, 'error: x')


def test_where_nothing_can_be_written_every_process_tells(monkeypatch):
    monkeypatch.setattr(telling.tempfile, 'gettempdir', lambda: '/dev/null')
    telling.tell_for(os.getppid())
    assert [telling.is_first_to_tell() for _ in range(2)] == [True, True]
    assert not telling.leave_to_launcher('error: x')
    assert telling.what_was_told(os.getppid()) == (False, '')
    telling.forget_told(os.getppid())
