#!/usr/bin/env python
"""A walk through the house in a few minutes: scenes, MAE pre-training, Mask R-CNN and UperNet from random and from MAE weights.

Runs the same commands that a user would, prints each, and shows what is left. Called by tools/quickstart.sh.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRESS = re.compile(r'(?:Epoch|Iter)\((?:train|test)\)\s*(?:\[(\d+)\])?\[\s*(\d+)/(\d+)\].*?(loss: [\d.]+)?')


@dataclass
class Step:
    """A command of the walk.

    Args:
        title: what it does, for the reader.
        command: arguments behind the Python interpreter.
        seconds: how long it took on two idle cores; only the proportions matter, for the time left.
        epochs: epochs of its training, to read progress from the log; 1 for steps that count iterations.
    """
    title: str
    command: list[str]
    seconds: float
    epochs: int = 1
    took: float = field(default=0., init=False)


class Walk:
    """Runs the steps one after the other, with progress and the time left for all of them."""

    def __init__(self, steps: list[Step], logs: Path):
        self.steps, self.logs = steps, logs
        self.started = time.monotonic()
        self.tty = sys.stdout.isatty()

    def run(self) -> None:
        """Run all steps; the first that fails ends the walk with the end of its log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for number, step in enumerate(self.steps, 1):
            print(f'\n[{number}/{len(self.steps)}] {step.title}\n    $ python {" ".join(step.command)}', flush=True)
            log = self.logs / f'{number:02d}.log'
            begun = time.monotonic()
            if code := self._run(step, log, begun):
                print(f'\nerror: step {number} ended with exit code {code}; the end of {log}:\n' +
                      '\n'.join(log.read_text(errors='replace').splitlines()[-15:]), file=sys.stderr)
                sys.exit(code)
            step.took = time.monotonic() - begun
            self._show(f'done in {step.took:.0f} s', step, 1., begun, end=True)

    def _run(self, step: Step, log: Path, begun: float) -> int:
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')])))
        shown = 0.
        with open(log, 'w') as file:
            process = subprocess.Popen([sys.executable, *step.command], cwd=ROOT, env=environment, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for line in process.stdout:
                file.write(line)
                # A line every few seconds is enough where the output goes to a file.
                if (found := PROGRESS.search(line)) and time.monotonic() - shown > (1 if self.tty else 15):
                    epoch, done, total = int(found[1] or 1), int(found[2]), int(found[3])
                    loss = re.search(r'\bloss: [\d.]+', line)
                    share = min(1., (epoch - 1 + done / total) / step.epochs)
                    self._show(loss[0] if loss else 'testing', step, share, begun)
                    shown = time.monotonic()
            return process.wait()

    def _show(self, what: str, step: Step, share: float, begun: float, end: bool = False) -> None:
        index = self.steps.index(step)
        done = sum(s.seconds for s in self.steps[:index]) + share * step.seconds
        left = (time.monotonic() - self.started) / done * (sum(s.seconds for s in self.steps) - done)
        bar = '#' * round(20 * share)
        text = f'    [{bar:<20}] {share:4.0%}  {what:<16}  all steps: {left / 60:.1f} min left'
        print(('\r' if self.tty else '') + text, end='\n' if end or not self.tty else '', flush=True)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'))
    parser.add_argument('--seed', type=int, default=0, help='of the fine-tuning runs (and of the pre-training here)')
    parser.add_argument('--pretrain-only-here', action='store_true',
                        help='start the MAE column from the few minutes of pre-training done here, not from the weights in the repository')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    work, seed = args.work_dir, f'randomness.seed={args.seed}'
    scenes = work / 'scenes'
    pretrained = str(work / 'mae') if args.pretrain_only_here else 'configs/quickstart/vit_scenes.safetensors'
    seconds = {'maskrcnn': 90, 'upernet': 70}
    steps = [
        Step('Make scenes: photos without labels, and labelled ones in COCO and ADE20K layout',
             ['-m', 'mae_transfer.data.scenes', str(scenes)], 20),
        Step('Pre-train a small MAE on the photos: the loss falls',
             ['tools/train.py', 'configs/quickstart/mae_pretrain.py', '--work-dir', str(work / 'mae'),
              '--cfg-options', f'data_root={scenes}/photos', seed], 80, epochs=4),
        Step('Judge it on held-out photos',
             ['tools/test.py', 'configs/quickstart/mae_pretrain.py', str(work / 'mae'), '--work-dir', str(work / 'mae_test'),
              '--cfg-options', f'data_root={scenes}/photos'], 8),
    ]
    for task, data, epochs in (('maskrcnn', 'coco', 8), ('upernet', 'ade', 1)):
        for start, weights in (('random', 'none'), ('mae', pretrained)):
            run = work / f'{task}_{start}'
            steps.append(Step(
                f'{"Mask R-CNN" if task == "maskrcnn" else "UperNet"} from {"random" if start == "random" else "MAE"} weights',
                ['tools/train.py', f'configs/quickstart/{task}.py', '--work-dir', str(run),
                 '--cfg-options', f'data_root={scenes}/{data}/', f'pretrained={weights}', seed], seconds[task], epochs))
            dump = f'test_evaluator.outfile_prefix={run}/predictions' if task == 'maskrcnn' else f'test_evaluator.output_dir={run}/predictions'
            steps.append(Step(
                'Test it', ['tools/test.py', f'configs/quickstart/{task}.py', str(run), '--work-dir', f'{run}_test',
                            '--cfg-options', f'data_root={scenes}/{data}/', dump], 12))
    walk = Walk(steps, work / 'logs')
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
        detection_sheet(coco / 'annotations' / 'instances_val2017.json', coco / 'val2017',
                        work / f'maskrcnn_{start}' / 'predictions.segm.json').save(work / f'detection_{start}.png')
        truths = sorted((ade / 'annotations' / 'validation').glob('*.png'))[:8]
        segmentation_sheet([ade / 'images' / 'validation' / f'{truth.stem}.jpg' for truth in truths], truths,
                           [work / f'upernet_{start}' / 'predictions' / truth.name for truth in truths],
                           SEMANTIC_CLASSES, SEMANTIC_PALETTE).save(work / f'segmentation_{start}.png')
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
        detection, segmentation = newest_metrics(work / f'maskrcnn_{start}_test'), newest_metrics(work / f'upernet_{start}_test')
        rows[start] = (100 * detection['coco/bbox_mAP'], 100 * detection['coco/segm_mAP'], segmentation['mIoU'],
                       took[f'maskrcnn_{start}'] + took[f'upernet_{start}'])
    reconstruction = newest_metrics(work / 'mae_test')['reconstruction/masked_loss']
    source = (f'the {took["mae"]:.1f} minutes of pre-training done here' if args.pretrain_only_here else
              'configs/quickstart/vit_scenes.safetensors, pre-trained by this project on such scenes for longer\n'
              '(configs/quickstart/mae_pretrain_long.py); --pretrain-only-here uses the minutes done here instead')
    lines = ['| weights | box AP | mask AP | mIoU | minutes of fine-tuning |', '|---|---|---|---|---|']
    lines += [f'| {"MAE" if start == "mae" else start} | {box:.1f} | {mask:.1f} | {miou:.1f} | {minutes:.1f} |'
              for start, (box, mask, miou, minutes) in rows.items()]
    table = '\n'.join(lines)
    total = (time.monotonic() - walk.started) / 60
    text = (f'\n{table}\n\nSeed {args.seed}, 96 labelled scenes, same schedule for both rows. MAE weights: {source}.\n'
            f'Reconstruction loss on held-out photos after the pre-training done here: {reconstruction:.4f}.\n'
            f'Pictures: {work}/reconstructions.png, detection_mae.png, segmentation_mae.png (and _random.png). All in {total:.1f} minutes.')
    (work / 'table.md').write_text(text.strip() + '\n')
    print(text)


if __name__ == '__main__':
    main()
