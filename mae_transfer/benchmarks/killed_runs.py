"""Kill trainings at random moments, resume them, and compare how they end with runs that were left alone.

    python -m mae_transfer.benchmarks.killed_runs --kills 200 --while-saving 50

For each recipe (MAE pre-training; classification with mixing, erasing, drop path and averaged weights; Mask R-CNN;
UperNet) and number of processes, one run is left alone, and others are killed by SIGKILL, all of their processes at the
same moment, and resumed until they have ended. Weights, averaged weights, optimiser, schedulers and the losses of all
iterations must have the same sha256. A share of the kills waits for a checkpoint that is being written. Data are the
package's own generated scenes.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from ..data.scenes.quickstart import write_scenes
from ..errors import UserError
from ..experiments.tool_runs import package_file
from ..runs.fingerprint import fingerprint
from ..vit.weights.checkpoint import find_checkpoint, read_checkpoint
from ..whole_files import PART
from .run_processes import processes_of

_SIZES = [
    *('arch=32x4x2', 'pretrained=none', 'total_batch_size=12', 'train_dataloader.batch_size=2'),
    *('default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=1'),
    *('train_dataloader.num_workers=1', 'val_dataloader.num_workers=0', 'train_cfg.val_interval=100'),
]
#: {recipe: its config, the folder of its data below the scenes, and settings that make a run some 24 steps}
_RECIPES = {
    'mae': ('configs/quickstart/mae_pretrain.py', 'photos', ['max_epochs=3', 'model.vit.drop_path_rate=.2']),
    'classify': (
        'configs/in1k_scratch_vitb.py',
        'classes',
        [
            *('max_epochs=3', 'warmup=1', 'image_size=64', 'model.vit.patch_size=8', 'model.num_classes=2'),
            *('optim_wrapper.dtype=float32', 'test_evaluator.topk=[1]', 'val_evaluator.topk=[1]'),
        ],
    ),
    'detect': ('configs/quickstart/maskrcnn.py', 'coco', ['max_epochs=3', 'model.backbone.out_indices=0,1,2,3']),
    'segment': ('configs/quickstart/upernet.py', 'ade', ['max_iters=24', 'model.backbone.out_indices=0,1,2,3']),
}
_STARTED = 'Checkpoints will be saved'


class Result(NamedTuple):
    """What happened to the killed runs of a recipe and a number of processes.

    Args:
        kills: how many there were.
        while_saving: how many of them while a checkpoint was being written.
        runs: how many runs they stopped.
        differing: parts that differed from the run that was left alone, of all runs.
        seconds: duration.
    """

    kills: int
    while_saving: int
    runs: int
    differing: list[str]
    seconds: float


class Training:
    """A training that is started, killed and started again."""

    def __init__(self, recipe: str, processes: int, data: Path, folder: Path):
        config, below, options = _RECIPES[recipe]
        self.folder, self.log = folder, folder / 'log.txt'
        folder.mkdir(parents=True, exist_ok=True)
        self._command = [sys.executable]
        if processes > 1:
            self._command += ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', str(processes)]
        self._command += [package_file('tools', 'train.py'), package_file(*config.split('/')), '--resume']
        self._command += ['--work-dir', str(folder), *(['--launcher', 'pytorch'] if processes > 1 else [])]
        self._command += ['--cfg-options', f'data_root={data / below}', *_SIZES, *options]

    def start(self) -> subprocess.Popen:
        """Start it, or go on, and return when it trains or has ended."""
        with self.log.open('w') as log:
            process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=dict(os.environ, OMP_NUM_THREADS='1'), start_new_session=True
            )
        while process.poll() is None and _STARTED not in self.log.read_text(errors='replace'):
            time.sleep(0.05)
        return process

    def run_to_its_end(self) -> float:
        """Train to the end; returns the seconds of training alone."""
        process, began = self.start(), time.monotonic()
        process.wait()
        self.check(process)
        return time.monotonic() - began

    def check(self, process: subprocess.Popen) -> None:
        """Raise ``UserError`` if the training did not end well."""
        if process.returncode:
            last = self.log.read_text(errors='replace').strip().splitlines()[-1:]
            raise UserError(f'the training in {self.folder} ended with code {process.returncode}: {" ".join(last)}')

    def kill(self, process: subprocess.Popen) -> None:
        """Kill all of its processes."""
        while own := processes_of(self.folder):
            for pid in own:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if process.poll() is None:
                process.wait()

    def is_saving(self) -> bool:
        """Whether a checkpoint is being written."""
        return any(name.endswith(f'.pth{PART}') for name in os.listdir(self.folder))

    def fingerprint(self) -> dict[str, str]:
        """That of its last checkpoint."""
        return fingerprint(read_checkpoint(find_checkpoint(self.folder)))


def kill_runs(recipe: str, processes: int, kills: int, while_saving: int, data: Path, work_dir: Path) -> Result:
    """Kill runs of a recipe so many times, and compare each with the one that is left alone.

    Raises:
        UserError: a run ended otherwise than by a kill.
    """
    began, draws = time.monotonic(), random.Random(f'{recipe} {processes}')
    alone = Training(recipe, processes, data, work_dir / f'{recipe}_{processes}_alone')
    duration, wanted = alone.run_to_its_end(), alone.fingerprint()
    saving = [True] * while_saving + [False] * (kills - while_saving)
    draws.shuffle(saving)
    done, runs, caught, differing = 0, 0, 0, []
    while done < kills:
        runs += 1
        training = Training(recipe, processes, data, work_dir / f'{recipe}_{processes}_killed{runs}')
        process = training.start()
        while process.poll() is None:
            if done == kills:
                process.wait()
                break
            moment = time.monotonic() + draws.uniform(0, duration / 4)
            while process.poll() is None and time.monotonic() < moment:
                time.sleep(0.001)
            while saving[done] and process.poll() is None and not training.is_saving():
                time.sleep(0.0005)
            if process.poll() is None:
                caught += training.is_saving()
                training.kill(process)
                done += 1
                process = training.start()
        training.check(process)
        found = training.fingerprint()
        differing += [f'{training.folder.name}: {name}' for name in wanted if found.get(name) != wanted[name]]
    return Result(done, caught, runs, differing, time.monotonic() - began)


def main() -> int:
    """The command line; returns 1 if a run ended otherwise than the one that was left alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=200, help='in all; default %(default)s')
    parser.add_argument('--while-saving', type=int, help='of them while a checkpoint is written; default a quarter')
    parser.add_argument('--recipes', nargs='+', choices=list(_RECIPES), default=list(_RECIPES), help='default all')
    parser.add_argument('--processes', nargs='+', type=int, default=[1, 2, 3], help='default 1 2 3')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/killed_runs'), help='default %(default)s')
    args = parser.parse_args()
    while_saving = args.kills // 4 if args.while_saving is None else args.while_saving
    data = (args.work_dir / 'scenes').absolute()
    write_scenes(data, photos=96, train=96, val=8, size=64)
    for number, photo in enumerate(sorted((data / 'photos').glob('*.jpg'))):
        for split in ('train', 'val'):
            link = data / 'classes' / split / 'ab'[number % 2] / photo.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(photo)
    cases = [(recipe, count) for recipe in args.recipes for count in args.processes]
    head = ('recipe', 'processes', 'kills', 'while saving', 'runs', 'differing parts', 'minutes')
    print(f'| {" | ".join(head)} |\n{"|---" * len(head)}|', flush=True)
    failed = False
    for place, (recipe, count) in enumerate(cases):
        share, saving = (
            number * (place + 1) // len(cases) - number * place // len(cases) for number in (args.kills, while_saving)
        )
        result = kill_runs(recipe, count, share, saving, data, args.work_dir.absolute())
        failed |= bool(result.differing)
        cells = (recipe, count, result.kills, result.while_saving, result.runs, ', '.join(result.differing) or 'none')
        print(f'| {" | ".join(map(str, cells))} | {result.seconds / 60:.1f} |', flush=True)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
