"""Functions in new processes and within a memory limit: their results, and how they may fail."""

from __future__ import annotations

import signal
import time

import pytest
import torch

from mae_transfer.benchmarks.processes import call_with_memory_limit, memory_limit, memory_status, run_in_new_process
from mae_transfer.errors import UserError


def test_the_result_of_a_process_is_returned():
    kept = []
    assert run_in_new_process(lambda value: kept.append(value) or value + 1, 2) == 3
    assert not kept  # this process has not run the function


def test_a_user_error_is_raised_here():
    def refuse():
        raise UserError('not like this')

    with pytest.raises(UserError, match='not like this'):
        run_in_new_process(refuse)


def test_a_process_that_the_system_kills_ran_out_of_memory():
    with pytest.raises(MemoryError):
        run_in_new_process(lambda: signal.raise_signal(signal.SIGKILL) or time.sleep(60))


def test_more_memory_than_the_limit_is_refused():
    limit = round(run_in_new_process(memory_status)['VmRSS'] / 1e9 + 0.5, 3)
    assert run_in_new_process(call_with_memory_limit, limit, lambda: torch.ones(10).sum().item()) == 10
    with pytest.raises(MemoryError):
        run_in_new_process(call_with_memory_limit, limit, lambda: torch.empty(1_000_000_000).nbytes)


def test_a_memory_limit_ends_with_its_block():
    with memory_limit(None):
        pass
    with pytest.raises(ZeroDivisionError), memory_limit(100):
        raise ZeroDivisionError
    assert torch.empty(1_000_000).nbytes == 4_000_000


def test_another_error_is_not_mistaken_for_a_lack_of_memory(capfd):
    with pytest.raises(RuntimeError, match='ended with exit code 1'):
        run_in_new_process(call_with_memory_limit, 100, lambda: torch.zeros(2) + torch.zeros(3))
    assert 'must match the size' in capfd.readouterr().err


def test_the_memory_of_the_process_is_read():
    assert memory_status()['VmRSS'] > 1e7
