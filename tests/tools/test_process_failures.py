"""What happens to a run whose processes are killed or asked to stop: soon over, one line, and it can go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

from mae_transfer.benchmarks.run_processes import training_processes
from tests.tools.commands import CONFIG, REPOSITORY, checkpoint, free_port, small

#: An epoch of 3 steps takes a moment; so many are not reached within a test.
ENDLESS = 100_000


STUCK = """
import time
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mae_transfer.registry import HOOKS
@HOOKS.register_module()
class StuckHook(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 100 and get_rank() == 1:
            time.sleep(10_000)
"""


class Run:
    """A training that is started as a user would start it."""

    def __init__(self, tool: str, work_dir: Path, *arguments, config: Path = CONFIG):
        self.work_dir, self.out = work_dir, work_dir.with_suffix('.txt')
        command = [str(REPOSITORY / 'tools' / tool), str(config), *map(str, arguments), '--work-dir', str(work_dir)]
        environment = dict(os.environ, OMP_NUM_THREADS='1', PORT=str(free_port()), PYTHON=sys.executable)
        with self.out.open('w') as out:
            self.process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)

    def wait_for_steps(self, count: int = 3) -> None:
        """Wait until it has logged so many."""
        deadline = time.monotonic() + 120
        while len(re.findall(r'Epoch\(train\)', self.text)) < count:
            assert self.process.poll() is None and time.monotonic() < deadline, self.text
            time.sleep(0.1)

    @property
    def processes(self) -> list[int]:
        """Ids of the processes that train, by their order."""
        return training_processes(self.work_dir)

    @property
    def workers(self) -> list[int]:
        """Ids of their data loaders' workers."""
        return training_processes(self.work_dir, of_data=True)

    def ended(self, within: float = 120) -> int:
        """The exit code; fails if the run has not ended in time."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            pytest.fail(f'still running after {within} seconds: {self.text}')

    @property
    def text(self) -> str:
        """All that it has printed."""
        return self.out.read_text()

    @property
    def errors(self) -> list[str]:
        """Lines that tell an error."""
        return [line for line in self.text.splitlines() if line.startswith('error: ')]

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in [*self.processes, *self.workers]:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize('number', [signal.SIGTERM, pytest.param(signal.SIGUSR1, marks=pytest.mark.slow)])
def test_the_launcher_asked_to_stop_ends_all_processes_after_the_step(photos, tmp_path, number):
    with Run('dist_train.sh', tmp_path / 'run', 2, *small(photos, 4, ENDLESS)) as run:
        run.wait_for_steps()
        run.process.send_signal(number)
        assert run.ended() == 75
    assert run.text.count('stopped by ') == 1 and 'go on by --resume' in run.text
    assert 'Traceback' not in run.text and run.errors == []
    done = int(re.search(r'stopped by \w+ after (\d+) iterations; (iter_\1.pth) was written', run.text)[1])
    assert checkpoint(tmp_path / 'run')['meta']['iter'] == done


def test_a_killed_process_ends_the_run_and_is_named(photos, tmp_path):
    with Run('dist_train.sh', tmp_path / 'run', 2, *small(photos, 4, ENDLESS)) as run:
        run.wait_for_steps()
        os.kill(run.processes[1], signal.SIGKILL)
        assert run.ended() == 128 + signal.SIGKILL
    assert run.errors == [
        'error: process 1 was ended by SIGKILL, as the system does when the memory is full: go on by --resume'
    ]
    assert 'Traceback' not in run.text


@pytest.mark.slow
@pytest.mark.parametrize('number', [0, 1])
def test_a_stopped_process_ends_the_run_within_a_minute_and_is_named(photos, tmp_path, number):
    with Run('dist_train.sh', tmp_path / 'run', 2, *small(photos, 4, ENDLESS)) as run:
        run.wait_for_steps()
        began = time.monotonic()
        os.kill(run.processes[number], signal.SIGSTOP)
        assert run.ended() != 0
    assert time.monotonic() - began < 60
    [line] = run.errors
    assert re.search(f'process {number} (stands still, last at|does not answer)', line) and 'Traceback' not in run.text


@pytest.mark.slow
def test_a_collective_call_that_one_process_never_makes_ends_the_run_within_a_minute(photos, tmp_path):
    (tmp_path / 'stuck_hook.py').write_text(STUCK)
    config = tmp_path / 'stuck.py'
    config.write_text(
        f"_base_ = '{CONFIG}'\ncustom_imports = dict(imports=['mae_transfer', 'stuck_hook'])\n"
        "custom_hooks = [dict(type='StuckHook')]\n"
    )
    with mock.patch.dict(os.environ, PYTHONPATH=str(tmp_path)):
        with Run('dist_train.sh', tmp_path / 'run', 2, *small(photos, 4, ENDLESS), config=config) as run:
            run.wait_for_steps()
            began = time.monotonic()
            assert run.ended() == 1
    assert time.monotonic() - began < 60
    [line] = run.errors
    assert re.search(r'step \d+ has not ended for 4\d seconds, the longest before took [.\d]+: process ', line)
    assert 'process 1 is at stuck_hook.py:10 before_train_iter' in line and 'Traceback' not in run.text


@pytest.mark.slow
def test_with_restarts_the_run_goes_on_by_itself(photos, tmp_path):
    options = small(
        photos, 4, ENDLESS, default_hooks__checkpoint__by_epoch=False, default_hooks__checkpoint__interval=1
    )
    with Run('dist_train.sh', tmp_path / 'run', 2, '--max-restarts', 1, *options) as run:
        run.wait_for_steps()
        os.kill(run.processes[1], signal.SIGKILL)
        deadline = time.monotonic() + 120
        while 'resumed epoch' not in run.text:
            assert run.process.poll() is None and time.monotonic() < deadline, run.text
            time.sleep(0.1)


def test_a_killed_worker_ends_the_run_in_one_line(photos, tmp_path):
    options = small(photos, 8, ENDLESS, train_dataloader__num_workers=1)
    with Run('train.py', tmp_path / 'run', *options) as run:
        run.wait_for_steps()
        os.kill(run.workers[0], signal.SIGKILL)
        assert run.ended() == 1
    assert len(run.errors) == 1 and 'Traceback' not in run.text
    assert re.search(
        "a data loader's worker (was ended by the signal Killed|ended unexpectedly), as when the memory is full",
        run.errors[0],
    )


def test_workers_leave_it_to_the_run_to_stop(photos, tmp_path):
    """Slurm and terminals send a signal to every process of a job."""
    options = small(photos, 8, ENDLESS, train_dataloader__num_workers=1)
    with Run('train.py', tmp_path / 'run', *options) as run:
        run.wait_for_steps()
        for pid in [*run.workers, *run.processes]:
            os.kill(pid, signal.SIGTERM)
        assert run.ended() == 75
    assert 'stopped by SIGTERM' in run.text and 'Traceback' not in run.text


def test_a_mistake_is_told_once(photos, tmp_path):
    with Run('dist_train.sh', tmp_path / 'run', 2, *small(photos, 3, 1)) as run:
        assert run.ended() == 2
    assert len(run.errors) == 1 and 'Traceback' not in run.text
