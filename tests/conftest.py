"""What holds for every test."""

import gc
import os
from types import SimpleNamespace

# One thread, also in the processes that tests start: their tensors are tiny, threads that wait for a busy core make
# them many times slower, and a process that has computed with several threads must not be forked.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# Python's search for cycles of objects would go through all tests that were collected, again and again. They are kept
# out of it; without it collecting them takes 10 s in place of 15.
gc.disable()

import pytest  # noqa: E402
import torch  # noqa: E402
from yapf.yapflib import yapf_api  # noqa: E402

from mae_transfer.compat.worker_processes import workers_end  # noqa: E402
from tests.helpers import forget_instances  # noqa: E402


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope='session')
def runs_begin_at_once():
    """Most of a tiny run's time goes into what MMEngine does around it: it pretty-prints the config for the log and for
    every checkpoint, lists the machine's software, sleeps two seconds between the epochs of a loop of iterations, and
    collects the garbage of the whole process for every data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, 'FormatCode', lambda text, **_: (text, False))
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        patch.setattr('mmengine.runner.loops.time', SimpleNamespace(sleep=lambda seconds: None))
        patch.setattr('mmengine.dataset.base_dataset.gc', SimpleNamespace(collect=lambda: 0))
        yield


@pytest.fixture(autouse=True, scope='module')
def every_file_begins_without_a_run():
    """MMEngine keeps the default scope, log and visualizer of the last run for the next one."""
    yield
    forget_instances()


@pytest.fixture(autouse=True)
def workers_end_with_the_test():
    with workers_end():
        yield


@pytest.fixture(autouse=True)
def random_numbers_are_the_same_in_every_run():
    """A bound on a rounding error that holds today holds on every machine's tomorrow."""
    torch.manual_seed(0)
