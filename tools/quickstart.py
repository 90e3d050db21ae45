#!/usr/bin/env python
"""A walk through the house in a few minutes: scenes, MAE pre-training, Mask R-CNN and UperNet from random and from MAE
weights.

Runs the same commands that a user would, prints each, and shows what is left. Called by tools/quickstart.sh.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRESS = re.compile(r'(?:Epoch|Iter)\((?:train|test)\)\s*(?:\[(\d+)\])?\[\s*(\d+)/(\d+)\].*?(loss: [\d.]+)?')


@dataclass
class Step:
    """A command of the walk.

    Args:
        name: what tells it from the step beside it.
        command: arguments behind the Python interpreter.
        seconds: how long it took here; only the proportions matter, for the time left.
        epochs: epochs of its training, to read progress from the log; 1 for steps that count iterations.
    """

    name: str
    command: list[str]
    seconds: float
    epochs: int = 1
    took: float = field(default=0.0, init=False)
    share: float = field(default=0.0, init=False)
    latest: str = field(default='', init=False)


@dataclass
class Stage:
    """Lanes of steps: those of a lane one after the other, the lanes side by side."""

    title: str
    lanes: list[list[Step]]

    @property
    def seconds(self) -> float:
        """Expected length: that of the longest lane."""
        return max(sum(step.seconds for step in lane) for lane in self.lanes)

    @property
    def share(self) -> float:
        """How much of it is done, by the lane that is behind."""
        return min(
            sum(step.share * step.seconds for step in lane) / sum(step.seconds for step in lane) for lane in self.lanes
        )


class Walk:
    """Runs the stages one after the other, with progress and the time left for all of them.

    The lanes of a stage share the cores: threads that wait for a core that another process holds would slow both down.
    """

    def __init__(self, stages: list[Stage], logs: Path):
        self.stages, self.logs = stages, logs
        self.started = time.monotonic()
        self.tty = sys.stdout.isatty()
        self.lock = threading.Lock()
        self.shown = 0.0
        self.failed: list[tuple[Step, Path, int]] = []

    @property
    def steps(self) -> list[Step]:
        """All steps."""
        return [step for stage in self.stages for lane in stage.lanes for step in lane]

    def run(self) -> None:
        """Run all stages; the first step that fails ends the walk with its exit code and the end of its log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for number, stage in enumerate(self.stages, 1):
            print(f'\n[{number}/{len(self.stages)}] {stage.title}', flush=True)
            for step in (step for lane in stage.lanes for step in lane):
                print(f'    $ python {" ".join(step.command)}', flush=True)
            lanes = [threading.Thread(target=self._run_lane, args=(stage, lane)) for lane in stage.lanes]
            begun = time.monotonic()
            for lane in lanes:
                lane.start()
            for lane in lanes:
                lane.join()
            if self.failed:
                step, log, code = self.failed[0]
                print(
                    f"\nerror: '{step.name}' ended with exit code {code}; the end of {log}:\n"
                    + '\n'.join(log.read_text(errors='replace').splitlines()[-15:]),
                    file=sys.stderr,
                )
                sys.exit(code)
            self._show(stage, f'done in {time.monotonic() - begun:.0f} s', end=True)

    def _run_lane(self, stage: Stage, lane: list[Step]) -> None:
        for step in lane:
            log = self.logs / f'{self.steps.index(step) + 1:02d}.log'
            begun = time.monotonic()
            if code := self._run_step(stage, step, log):
                self.failed.append((step, log, code))
                return
            step.took, step.share = time.monotonic() - begun, 1.0

    def _run_step(self, stage: Stage, step: Step, log: Path) -> int:
        threads = str(
            max(1, (os.cpu_count() or 1) // len(stage.lanes) if len(stage.lanes) > 1 else (os.cpu_count() or 2) // 2)
        )
        environment = dict(
            os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
        )
        environment.setdefault('OMP_NUM_THREADS', threads)
        with open(log, 'w') as file:
            process = subprocess.Popen(
                [sys.executable, *step.command],
                cwd=ROOT,
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            for line in process.stdout:
                file.write(line)
                if found := PROGRESS.search(line):
                    epoch, done, total = int(found[1] or 1), int(found[2]), int(found[3])
                    step.share = min(1.0, (epoch - 1 + done / total) / step.epochs)
                    loss = re.search(r'\bloss: [\d.]+', line)
                    step.latest = loss[0] if loss else 'testing'
                    # A line every few seconds is enough where the output goes to a file.
                    if time.monotonic() - self.shown > (1 if self.tty else 15):
                        self._show(
                            stage, '; '.join(f'{running.name} {running.latest}' for running in self._running(stage))
                        )
            return process.wait()

    @staticmethod
    def _running(stage: Stage) -> list[Step]:
        return [step for lane in stage.lanes for step in lane if 0 < step.share < 1]

    def _show(self, stage: Stage, what: str, end: bool = False) -> None:
        with self.lock:
            self.shown = time.monotonic()
            index = self.stages.index(stage)
            done = sum(s.seconds for s in self.stages[:index]) + stage.share * stage.seconds
            left = (self.shown - self.started) / max(done, 1e-9) * (sum(s.seconds for s in self.stages) - done)
            bar = '#' * round(20 * stage.share)
            text = f'    [{bar:<20}] {stage.share:4.0%}  all: {left / 60:.1f} min left  {what}'
            print(f'\r{text:<110}' if self.tty else text, end='\n' if end or not self.tty else '', flush=True)


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'))
    parser.add_argument('--seed', type=int, default=0, help='of the fine-tuning runs (and of the pre-training here)')
    parser.add_argument(
        '--pretrain-only-here',
        action='store_true',
        help='start the MAE column from the few minutes of pre-training done here, not from the weights in the '
        'repository',
    )
    return parser.parse_args()


def main() -> None:
    """Make scenes, pre-train, fine-tune twice, judge, and write table and pictures."""
    args = parse_args()
    work, seed = args.work_dir, f'randomness.seed={args.seed}'
    scenes = work / 'scenes'
    pretrained = str(work / 'mae') if args.pretrain_only_here else 'configs/quickstart/vit_scenes.safetensors'
    stages = [
        Stage(
            'Make scenes: photos without labels, and labelled ones in COCO and ADE20K layout',
            [[Step('scenes', ['-m', 'mae_transfer.data.scenes', str(scenes)], 20)]],
        ),
        Stage(
            'Pre-train a small MAE on the photos, the loss falls; judge it on held-out photos',
            [
                [
                    Step(
                        'MAE',
                        [
                            'tools/train.py',
                            'configs/quickstart/mae_pretrain.py',
                            '--work-dir',
                            str(work / 'mae'),
                            '--cfg-options',
                            f'data_root={scenes}/photos',
                            seed,
                        ],
                        110,
                        epochs=4,
                    ),
                    Step(
                        'MAE',
                        [
                            'tools/test.py',
                            'configs/quickstart/mae_pretrain.py',
                            str(work / 'mae'),
                            '--work-dir',
                            str(work / 'mae_test'),
                            '--cfg-options',
                            f'data_root={scenes}/photos',
                        ],
                        12,
                    ),
                ]
            ],
        ),
    ]
    for task, title, data, epochs, seconds, dump in (
        ('maskrcnn', 'Mask R-CNN', 'coco', 8, 120, 'outfile_prefix'),
        ('upernet', 'UperNet', 'ade', 1, 90, 'output_dir'),
    ):
        lanes = []
        for start, weights in (('random', 'none'), ('mae', pretrained)):
            config, run, root = f'configs/quickstart/{task}.py', work / f'{task}_{start}', f'data_root={scenes}/{data}/'
            lanes.append(
                [
                    Step(
                        f'from {start}',
                        [
                            'tools/train.py',
                            config,
                            '--work-dir',
                            str(run),
                            '--cfg-options',
                            root,
                            f'pretrained={weights}',
                            seed,
                        ],
                        seconds,
                        epochs,
                    ),
                    Step(
                        f'from {start}',
                        [
                            'tools/test.py',
                            config,
                            str(run),
                            '--work-dir',
                            f'{run}_test',
                            '--cfg-options',
                            root,
                            f'test_evaluator.{dump}={run}/predictions',
                        ],
                        20,
                    ),
                ]
            )
        stages.append(Stage(f'{title} from random and from MAE weights, same schedule and seed; test both', lanes))
    walk = Walk(stages, work / 'logs')
    walk.run()
    draw(work, scenes)
    report(work, walk, args)


def newest_metrics(work_dir: Path) -> dict[str, float]:
    """What tools/test.py measured: the newest metrics file that MMEngine left below a work_dir."""
    files = sorted(work_dir.glob('*/*.json'), key=lambda file: file.stat().st_mtime)
    if not files:
        raise FileNotFoundError(f'no metrics below {work_dir}')
    return json.loads(files[-1].read_text())


def draw(work: Path, scenes: Path) -> None:
    """Write the pictures of the MAE column's predictions beside the truth."""
    from mae_transfer.data.scenes import SEMANTIC_CLASSES, SEMANTIC_PALETTE
    from mae_transfer.visualization.predictions import detection_sheet, segmentation_sheet

    for start in ('random', 'mae'):
        coco, ade = scenes / 'coco', scenes / 'ade'
        detection_sheet(
            coco / 'annotations' / 'instances_val2017.json',
            coco / 'val2017',
            work / f'maskrcnn_{start}' / 'predictions.segm.json',
        ).save(work / f'detection_{start}.png')
        truths = sorted((ade / 'annotations' / 'validation').glob('*.png'))[:8]
        segmentation_sheet(
            [ade / 'images' / 'validation' / f'{truth.stem}.jpg' for truth in truths],
            truths,
            [work / f'upernet_{start}' / 'predictions' / truth.name for truth in truths],
            SEMANTIC_CLASSES,
            SEMANTIC_PALETTE,
        ).save(work / f'segmentation_{start}.png')
    last = work / 'mae' / 'reconstructions' / 'last.png'
    (work / 'reconstructions.png').write_bytes(last.read_bytes())


def report(work: Path, walk: Walk, args: argparse.Namespace) -> None:
    """Print and save the table: random | MAE."""
    took = {}
    for step in walk.steps:
        if 'configs/quickstart' in ' '.join(step.command) and step.command[0] == 'tools/train.py':
            took[Path(step.command[step.command.index('--work-dir') + 1]).name] = step.took / 60
    rows = {}
    for start in ('random', 'mae'):
        detection, segmentation = (
            newest_metrics(work / f'maskrcnn_{start}_test'),
            newest_metrics(work / f'upernet_{start}_test'),
        )
        rows[start] = (
            100 * detection['coco/bbox_mAP'],
            100 * detection['coco/segm_mAP'],
            segmentation['mIoU'],
            took[f'maskrcnn_{start}'] + took[f'upernet_{start}'],
        )
    reconstruction = newest_metrics(work / 'mae_test')['reconstruction/masked_loss']
    source = (
        f'the {took["mae"]:.1f} minutes of pre-training done here'
        if args.pretrain_only_here
        else 'configs/quickstart/vit_scenes.safetensors, pre-trained by this project on such scenes for longer\n'
        '(configs/quickstart/mae_pretrain_long.py); --pretrain-only-here uses the minutes done here instead'
    )
    lines = ['| weights | box AP | mask AP | mIoU | minutes of fine-tuning |', '|---|---|---|---|---|']
    lines += [
        f'| {"MAE" if start == "mae" else start} | {box:.1f} | {mask:.1f} | {miou:.1f} | {minutes:.1f} |'
        for start, (box, mask, miou, minutes) in rows.items()
    ]
    table = '\n'.join(lines)
    total = (time.monotonic() - walk.started) / 60
    text = (
        f'\n{table}\n\nSeed {args.seed}, 96 labelled scenes, same schedule for both rows. MAE weights: {source}.\n'
        f'Reconstruction loss on held-out photos after the pre-training done here: {reconstruction:.4f}.\n'
        f'Pictures: {work}/reconstructions.png, detection_mae.png, segmentation_mae.png (and _random.png). All in '
        f'{total:.1f} minutes.'
    )
    (work / 'table.md').write_text(text.strip() + '\n')
    print(text)


if __name__ == '__main__':
    main()
