"""Several launchers of tools/dist_train.sh, as on several machines, that meet at one address of this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mae_transfer.runs.fingerprint import fingerprint
from tests.tools.commands import (
    CONFIG,
    REPOSITORY,
    SHARDED,
    checkpoint,
    free_port,
    largest_difference,
    losses,
    run,
    small,
    train,
)


def launch(log: Path, config: Path, *options, **environment) -> subprocess.Popen:
    """A launcher with one process, which write to ``log``."""
    own = dict(os.environ, OMP_NUM_THREADS='1', PYTHON=sys.executable, MASTER_ADDR='127.0.0.1', **environment)
    command = [str(REPOSITORY / 'tools' / 'dist_train.sh'), str(config), '1', *map(str, options)]
    with log.open('w') as file:
        return subprocess.Popen(command, env=own, stdout=file, stderr=subprocess.STDOUT)


def kill(launcher: subprocess.Popen) -> None:
    """End a launcher and its processes, as when the machine is switched off."""
    for process in (launcher.pid, *children(launcher.pid)):  # torchrun gives each a session of its own
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def children(parent: int) -> list[int]:
    """The processes that a process has started, and those that they have, on Linux."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(')')[2].split()
            if int(fields[1]) == parent:
                child = int(stat.parent.name)
                found += [child, *children(child)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize('config', [CONFIG, SHARDED], ids=['DDP', 'FSDP2'])
def test_two_machines_with_a_process_each_are_one_with_two(config, photos, tmp_path):
    options = ['--work-dir', tmp_path / 'machines', *small(photos, 4, 2, optim_wrapper__dtype='float32')]
    started, logs = dict(NNODES='2', MASTER_PORT=str(free_port())), [tmp_path / f'{rank}.txt' for rank in '01']
    launchers = [launch(log, config, *options, **started, NODE_RANK=log.stem) for log in logs]
    try:
        codes = [launcher.wait(timeout=200) for launcher in launchers]
    finally:
        for launcher in launchers:
            kill(launcher)
    assert codes == [0, 0], '\n'.join(log.read_text() for log in logs)
    assert 'batch 8 = 4 images x 2 processes x 1 accumulated' in logs[0].read_text()
    ended = run('dist_train.sh', config, 2, *options, '--work-dir', tmp_path / 'one')
    assert ended.code == 0, ended.err
    assert fingerprint(checkpoint(tmp_path / 'machines')) == fingerprint(checkpoint(tmp_path / 'one'))


@pytest.mark.slow
def test_a_run_goes_on_without_a_machine_that_is_lost(photos, tmp_path):
    """Two of at most two, of which one is killed; the other goes on alone from the last checkpoint."""
    options = small(photos, 4, 40, optim_wrapper__dtype='float32', optim_wrapper__optimizer__eps=1e-4, base_lr=0.003)
    options += ['default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=1']
    work_dir, port, logs = tmp_path / 'elastic', str(free_port()), [tmp_path / f'{number}.txt' for number in range(2)]
    started = dict(NNODES='1:2', MASTER_PORT=port, RUN_ID=port, LOCAL_ADDR='127.0.0.1')
    own = ['--max-restarts', '3', '--work-dir', work_dir, *options]
    launchers = [launch(log, CONFIG, *own, **started) for log in logs]
    try:
        end = time.monotonic() + 120
        while not list(work_dir.glob('iter_*.pth')) and time.monotonic() < end:
            time.sleep(0.05)
        hosts = [launcher for launcher in launchers if listens(launcher, int(port))]
        assert len(hosts) == 1
        kill(launchers[1 - launchers.index(hosts[0])])
        killed_at = time.monotonic()
        code = hosts[0].wait(timeout=280)
    finally:
        for launcher in launchers:
            kill(launcher)
    both = ''.join(log.read_text() for log in logs)
    assert code == 0, both
    print(f'\nthe run ended {time.monotonic() - killed_at:.0f} s after one of two machines was lost')
    assert 'batch 8 = 4 images x 2 processes x 1 accumulated' in both
    after = logs[launchers.index(hosts[0])].read_text()
    assert 'batch 8 = 4 images x 1 process x 2 accumulated' in after and 'resumed epoch' in after
    train(CONFIG, '--work-dir', tmp_path / 'alone', *options)
    difference = largest_difference(*(checkpoint(folder)['state_dict'] for folder in (work_dir, tmp_path / 'alone')))
    print(f'weights at the end differ by {difference:.1e} from those of one process that was left alone')
    assert difference < 1e-5 and losses(tmp_path / 'alone')[-1] < losses(tmp_path / 'alone')[0]


def listens(launcher: subprocess.Popen, port: int) -> bool:
    """Whether a launcher holds the port at which all meet."""
    sockets = set()
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == '0A' and int(fields[1].rpartition(':')[2], 16) == port:
                sockets.add(f'socket:[{fields[9]}]')
    for process in (launcher.pid, *children(launcher.pid)):
        for link in Path(f'/proc/{process}/fd').glob('*'):
            with contextlib.suppress(OSError):
                if os.readlink(link) in sockets:
                    return True
    return False


# What Slurm does: a process for each task, with its numbers in the environment; scontrol knows the machines.
SRUN = """#!/usr/bin/env bash
while [ "$1" != --kill-on-bad-exit=1 ]; do
    case $1 in --ntasks) tasks=$2 ;; --ntasks-per-node) each=$2 ;; esac
    shift
done
shift
pids=()
for ((rank = 0; rank < tasks; rank++)); do
    SLURM_PROCID=$rank SLURM_NTASKS=$tasks SLURM_LOCALID=$((rank % each)) SLURM_NODELIST='localhost,localhost' "$@" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
"""


@pytest.mark.slow
def test_slurm_starts_a_process_for_each_task(photos, tmp_path):
    tools = tmp_path / 'bin'
    tools.mkdir()
    for name, text in dict(srun=SRUN, scontrol='#!/bin/sh\necho localhost\necho localhost\n').items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    options = small(photos, 4, 2, optim_wrapper__dtype='float32')
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHON=sys.executable, GPUS='2', GPUS_PER_NODE='1')
    environment.update(PATH=f'{tools}{os.pathsep}{os.environ["PATH"]}', MASTER_PORT=str(free_port()))
    ended = subprocess.run(
        [REPOSITORY / 'tools/slurm_train.sh', 'a_partition', 'a_job', CONFIG, tmp_path / 'slurm', *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stderr
    assert 'batch 8 = 4 images x 2 processes x 1 accumulated' in ended.stdout
    one = run('dist_train.sh', CONFIG, 2, '--work-dir', tmp_path / 'one', *options)
    assert one.code == 0, one.err
    assert fingerprint(checkpoint(tmp_path / 'slurm')) == fingerprint(checkpoint(tmp_path / 'one'))
