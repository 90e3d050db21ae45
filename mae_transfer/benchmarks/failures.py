"""Do a run harm, and see what it prints, with which code it ends, and after how many seconds.

    python -m mae_transfer.benchmarks.failures

A small MAE is trained on the package's own scenes, by ``tools/train.py`` or by ``tools/dist_train.sh`` with two
processes. The full disk is a tmpfs of 6 MB, which takes root; without it that case is left out. The table says which
harm was done, the line that was printed, the exit code, and the seconds from the harm to the end of all processes.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..data.scenes.quickstart import write_scenes
from ..experiments.tool_runs import package_file
from .run_processes import training_processes


class Ending(NamedTuple):
    """How a run ended: the lines that tell why, its exit code, seconds since the harm."""

    lines: list[str]
    code: int
    seconds: float


class Run:
    """A training in a process of its own, or in two.

    Args:
        folder: of the photos, and of what is written unless ``work_dir`` is given.
        name: of the harm.
        processes: how many train.
        options: more settings.
    """

    def __init__(self, folder: Path, name: str, processes: int, *options: str, work_dir: Path | None = None):
        self.work_dir = work_dir or folder / name
        self.log = folder / f'{name}.txt'
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        tool, count = ('train.py', []) if processes == 1 else ('dist_train.sh', [str(processes)])
        command = [package_file('tools', tool), package_file('configs', 'quickstart', 'mae_pretrain.py'), *count]
        settings = [
            *(f'data_root={folder / "photos"}', 'arch=32x2x2', 'max_epochs=100000', 'total_batch_size=8'),
            *('train_dataloader.batch_size=4', 'train_dataloader.num_workers=1', 'default_hooks.logger.interval=1'),
            *('default_hooks.checkpoint.interval=100', 'default_hooks.checkpoint.by_epoch=False', *options),
        ]
        if processes == 1:
            command.insert(0, sys.executable)
        environment = dict(os.environ, PYTHON=sys.executable, PORT=str(port), OMP_NUM_THREADS='1')
        with self.log.open('w') as log:
            self.process = subprocess.Popen(
                [*command, '--work-dir', str(self.work_dir), '--cfg-options', *settings],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        while self.process.poll() is None and len(re.findall(r'Epoch\(train\)', self.log.read_text())) < 5:
            time.sleep(0.1)
        time.sleep(5)

    def end(self, harm: Callable[[Run], None]) -> Ending:
        """Do harm, and wait for the end."""
        began = time.monotonic()
        harm(self)
        try:
            code = self.process.wait(180)
        except subprocess.TimeoutExpired:
            code = -1
        seconds = time.monotonic() - began
        lines = [
            line
            for line in self.log.read_text().splitlines()
            if line.startswith(('error: ', 'stopped by ', 'Traceback')) or ' - ERROR - ' in line
        ]
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        return Ending(lines, code, seconds)


def _send(number: int, which: int = 0, of_data: bool = False) -> Callable[[Run], None]:
    """Harm: send a signal to a process of the run, or to a data loader's worker."""
    return lambda run: os.kill(training_processes(run.work_dir, of_data)[which], number)


def _send_launcher(number: int) -> Callable[[Run], None]:
    return lambda run: run.process.send_signal(number)


def endings(folder: Path, only: str) -> Iterator[tuple[str, Ending]]:
    """What was done to a run, and how it ended; ``only`` is a part of the names of the harms to do."""
    harms: dict[str, tuple[int, Callable[[Run], None]]] = {
        'SIGTERM to one process': (1, _send_launcher(signal.SIGTERM)),
        'SIGTERM to torchrun, 2 processes': (2, _send_launcher(signal.SIGTERM)),
        'SIGUSR1 to torchrun, 2 processes': (2, _send_launcher(signal.SIGUSR1)),
        'Ctrl-C': (1, _send_launcher(signal.SIGINT)),
        'process 1 of 2 killed': (2, _send(signal.SIGKILL, 1)),
        'process 0 of 2 killed': (2, _send(signal.SIGKILL, 0)),
        'process 1 of 2 stopped': (2, _send(signal.SIGSTOP, 1)),
        'process 0 of 2 stopped': (2, _send(signal.SIGSTOP, 0)),
        "data loader's worker killed": (1, _send(signal.SIGKILL, 0, of_data=True)),
        "data loader's worker killed, 2 processes": (2, _send(signal.SIGKILL, 0, of_data=True)),
    }
    for number, (name, (processes, harm)) in enumerate(harms.items()):
        if only in name:
            yield name, Run(folder, f'run{number}', processes).end(harm)
    disk = folder / 'disk'
    disk.mkdir(exist_ok=True)
    for name in ('full disk, on_save_error=continue', 'full disk, on_save_error=stop'):
        if only not in name or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', str(disk)]).returncode:
            continue
        try:
            options = (
                'max_epochs=25',
                'default_hooks.checkpoint.interval=5',
                'default_hooks.checkpoint.max_keep_ckpts=-1',
                f'default_hooks.checkpoint.{name.split()[-1]}',
            )
            run = Run(folder, name.rpartition('=')[2], 1, *options, work_dir=disk / 'run')
            yield name, run.end(lambda run: None)
        finally:
            subprocess.run(['umount', '--lazy', str(disk)], check=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/failures'), help='default %(default)s')
    parser.add_argument('--only', default='', metavar='TEXT', help='do only harms with this in their names')
    args = parser.parse_args()
    folder = args.work_dir.absolute()
    write_scenes(folder, photos=24, train=1, val=1, size=64)
    print('| harm | seconds | exit code | lines | the last one |\n|---|---|---|---|---|', flush=True)
    for name, ending in endings(folder, args.only):
        last = ending.lines[-1].replace(str(folder), 'WORK_DIR') if ending.lines else ''
        print(f'| {name} | {ending.seconds:.1f} | {ending.code} | {len(ending.lines)} | `{last}` |', flush=True)


if __name__ == '__main__':
    main()
