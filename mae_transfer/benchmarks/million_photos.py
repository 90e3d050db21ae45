"""A million photos: memory of a data set with its workers, and the first step of a run that is resumed among them.

    python -m mae_transfer.benchmarks.million_photos --photos 1200000

The photos are hard links to a few small images, in a thousand folders. Memory is the proportional set size (PSS) of the
main process and its workers together, before the names of all photos are read in the workers and after it, compared
with a list of ``str``. The run is a small MAE on one process, stopped after some steps, placed in the middle of its
epoch, and resumed by ``tools/train.py --resume``; the time is that from the start of the process to its first step.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from ..data.photos.labelled import LabelledPhotos
from ..data.photos.unlabelled import Photos
from ..data.scenes.quickstart import write_scenes
from ..experiments.tool_runs import package_file
from ..progress import progress
from ..runs.saving import write_checkpoint
from ..vit.weights.checkpoint import read_checkpoint

_FOLDERS, _BATCH = 1000, 64


def write_photos(folder: Path, count: int) -> None:
    """Write so many photos, in folders below ``train`` and ``val``."""
    scenes = folder.parent / 'scenes'
    write_scenes(scenes, photos=64, train=1, val=1, size=64)
    images = sorted((scenes / 'photos').glob('*.jpg'))
    for number in range(_FOLDERS):
        (folder / f'train/{number:04d}').mkdir(parents=True, exist_ok=True)
    for number in progress(range(count), 'photos written'):
        source = images[number % len(images)]
        name = f'train/{number % _FOLDERS:04d}/n{number:08d}_{number * 7919 % count}.jpg'
        if number // len(images) % 50_000 == 49_999:  # a file has 65,000 names at most
            images[number % len(images)] = source = source.rename(source.with_stem(f'{source.stem}_'))
        if not (folder / name).exists():
            os.link(source, folder / name)
    for number in range(64):
        path = folder / f'val/{number % 2:04d}/{number}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        os.link(images[number], path)


class _Names(Dataset):
    """The length of each photo's name, for whose reading no image is decoded."""

    def __init__(self, names: Sequence[str]):
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> int:
        return len(self.names[index])


class _NamesOf(Sequence):
    """The names of a data set's photos."""

    def __init__(self, dataset: Photos | LabelledPhotos):
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        return self._dataset.name(index)


def shared_memory(names: Sequence[str], workers: int) -> tuple[float, float]:
    """PSS of this process and its workers in MB, when the workers begin and when they have read every name."""
    order = torch.randperm(len(names)).tolist()
    loader = DataLoader(
        _Names(names), 4096, sampler=order, num_workers=workers, persistent_workers=True, multiprocessing_context='fork'
    )
    batches = iter(loader)
    next(batches)
    children = [process.pid for process in batches._workers]  # type: ignore[attr-defined]
    before = sum(map(pss, [os.getpid(), *children]))
    for _ in range(workers):  # a worker reads each name once
        for _ in batches:
            pass
        batches = iter(loader)
    after = sum(map(pss, [os.getpid(), *children]))
    return before, after


def pss(pid: int) -> float:
    """The proportional set size of a process, in MB."""
    rollup = Path(f'/proc/{pid}/smaps_rollup').read_text()
    return int(rollup.partition('\nPss:')[2].split()[0]) / 1024


def memory_rows(folder: Path, workers: int) -> Iterator[tuple[str, int, float, float]]:
    """What, number of names, MB at first and at the end."""
    kinds = {
        'pre-training': lambda: _NamesOf(Photos(str(folder), 'train')),
        'classification': lambda: _NamesOf(LabelledPhotos(str(folder), 'train', classes=_FOLDERS)),
        'a list of str': lambda: list(Photos(str(folder), 'train').names),
    }
    for kind, make in kinds.items():
        receiver, sender = os.pipe()
        if not (pid := os.fork()):  # each in a process of its own, to which nothing else belongs
            names = make()
            os.write(sender, repr((len(names), *shared_memory(names, workers))).encode())
            os._exit(0)
        os.close(sender)
        os.waitpid(pid, 0)
        count, before, after = map(float, re.findall(r'[\d.]+', os.read(receiver, 1000).decode()))
        os.close(receiver)
        yield kind, int(count), before, after


class Resumed:
    """A run on the photos that is stopped, placed in the middle of its epoch, and resumed."""

    def __init__(self, folder: Path, work_dir: Path):
        self.work_dir = work_dir
        self._command = [
            *(sys.executable, package_file('tools', 'train.py')),
            *(package_file('configs', 'quickstart', 'mae_pretrain.py'), '--work-dir', str(work_dir), '--resume'),
            *('--cfg-options', f'data_root={folder}', 'arch=32x2x2', 'max_epochs=1', f'total_batch_size={_BATCH}'),
            *(f'train_dataloader.batch_size={_BATCH}', 'train_dataloader.num_workers=2'),
            *('default_hooks.logger.interval=1', 'default_hooks.checkpoint.interval=5'),
            'default_hooks.checkpoint.by_epoch=False',
        ]

    def first_step(self) -> tuple[float, int]:
        """Seconds from the start of the process to its first step, and the number of that step; it is then stopped."""
        log = self.work_dir.with_suffix('.txt')
        began = time.monotonic()
        with log.open('w') as file:
            process = subprocess.Popen(self._command, stdout=file, stderr=file)
        while not (step := re.search(r'Epoch\(train\)\s+\[1\]\[\s*(\d+)/', log.read_text())):
            if process.poll() is not None:
                raise RuntimeError(f'the training ended with code {process.returncode}: see {log}')
            time.sleep(0.02)
        seconds = time.monotonic() - began
        time.sleep(1)
        process.terminate()
        process.wait()
        return seconds, int(step[1])

    def move_to_the_middle(self) -> None:
        """Change the last checkpoint as if half of the epoch were done."""
        path = Path((self.work_dir / 'last_checkpoint').read_text())
        checkpoint = read_checkpoint(path)
        checkpoint['meta']['iter'] = checkpoint['meta']['epoch_length'] // 2
        write_checkpoint(checkpoint, path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--photos', type=int, default=1_200_000, help='default %(default)s')
    parser.add_argument('--workers', type=int, default=4, help='default %(default)s')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/million_photos'), help='default %(default)s')
    args = parser.parse_args()
    work_dir = args.work_dir.absolute()
    folder = work_dir / 'photos'
    write_photos(folder, args.photos)
    print('| names | number | MB, 0 names read | MB, all read by each worker |\n|---|---|---|---|', flush=True)
    for kind, count, before, after in memory_rows(folder, args.workers):
        print(f'| {kind} | {count} | {before:.0f} | {after:.0f} |', flush=True)
    run = Resumed(folder, work_dir / 'run')
    run.first_step()
    run.move_to_the_middle()
    seconds, step = run.first_step()
    print(f'first step after --resume, number {step}: {seconds:.1f} s after the start of the process')


if __name__ == '__main__':
    main()
