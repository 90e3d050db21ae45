#!/usr/bin/env python
"""Read pre-trained ViTs by k-NN, fast linear probe, partial and whole fine-tuning, over seeds, and write the table.

Runs what a user would run, tools/train.py and tools/test.py on the configs that a pattern names, e.g.
    tools/read_vit.py none work_dirs/small/mae_pretrain_tin20 --configs 'configs/small/{}_tin20.py' --work-dir work_dirs/small/read_tin20
reads configs/small/knn_tin20.py, fastprobe_tin20.py and finetune_tin20.py. A run that is done is not done again. The table is
<work-dir>/table.md: mean of the seeds' top-1 and, in brackets, each of them.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from mae_transfer import launch
from mae_transfer.errors import UserError
from mae_transfer.vit.checkpoint import find_checkpoint

ROOT = Path(__file__).resolve().parent.parent
#: reading without training -> the metric that the table shows
JUDGED = {'knn': 'knn/top1_k20', 'fastprobe': 'probe/top1'}


class Run(NamedTuple):
    """One reading of one ViT.

    Args:
        weights: work_dir or file of the ViT; 'none' for random weights.
        reading: a key of :data:`JUDGED`, or how many blocks are tuned: '0', '.5', '1', ... 'all'.
        seed: of the run.
    """
    weights: str
    reading: str
    seed: int

    def folder(self, work_dir: Path) -> Path:
        """Where the run writes."""
        return work_dir / f'{Path(self.weights).stem}_{self.title.replace(" ", "_")}_seed{self.seed}'

    @property
    def title(self) -> str:
        """The reading's column in the table."""
        return {'knn': 'k-NN', 'fastprobe': 'linear', 'all': 'fine-tune'}.get(self.reading, f'tuned {self.reading}')

    def command(self, args: argparse.Namespace) -> list[str]:
        """Tool, config and settings."""
        judged = self.reading in JUDGED
        config = args.configs.format(self.reading if judged else 'finetune')
        options = [f'randomness.seed={self.seed}', *args.cfg_options]
        if self.reading == 'fastprobe':
            options.append(f'test_cfg.seed={self.seed}')
        if not judged:
            options += [f'pretrained={self.weights}', f"model.tuned_blocks={'None' if self.reading == 'all' else self.reading}"]
        return [str(ROOT / 'tools' / f"{'test' if judged else 'train'}.py"), config, *([self.weights] if judged else []),
                '--work-dir', str(self.folder(args.work_dir)), '--cfg-options', *options]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', nargs='+', help="work_dirs or files of ViTs; 'none' for random weights")
    parser.add_argument('--configs', required=True, metavar='PATTERN', help='path of the configs, with {} for knn, fastprobe and finetune')
    parser.add_argument('--work-dir', required=True, type=Path, help='where runs and table are written')
    parser.add_argument('--readings', nargs='+', default=['knn', 'fastprobe', '0', '.5', '1', '2', 'all'],
                        help='knn, fastprobe, and numbers of tuned blocks (all: fine-tuning)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time')
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='for all runs, e.g. data_root=...')
    return parser.parse_args()


def top1(run: Run, folder: Path) -> float | None:
    """The run's last accuracy in per cent; None where it is not done."""
    if not (folder / 'done').exists():
        return None
    pattern, metric = ('*/*.json', JUDGED[run.reading]) if run.reading in JUDGED else ('*/vis_data/scalars.json', 'accuracy/top1')
    newest = max(folder.glob(pattern), key=lambda path: path.parent if run.reading in JUDGED else path.parent.parent)
    return [json.loads(line) for line in newest.read_text().splitlines() if f'"{metric}"' in line][-1][metric]


def carry_out(run: Run, args: argparse.Namespace) -> None:
    """Do a run that is not done yet; its output goes to ``log.txt`` in its folder.

    Raises:
        UserError: the run failed.
    """
    folder = run.folder(args.work_dir)
    if (folder / 'done').exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    print(f'{folder.name} ...', flush=True)
    with open(folder / 'log.txt', 'w', encoding='utf-8') as log:
        code = subprocess.run([sys.executable, *run.command(args)], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT).returncode
    if code:
        last = (folder / 'log.txt').read_text().strip().splitlines()[-1:]
        raise UserError(f'{folder.name} ended with exit code {code}: {" ".join(last).removeprefix("error: ")} ({folder / "log.txt"})')
    (folder / 'done').touch()
    print(f'{folder.name}: {top1(run, folder):.2f}', flush=True)


def table(args: argparse.Namespace) -> str:
    """Markdown: a row for each ViT, a column for each reading."""
    titles = [Run('', reading, 0).title for reading in args.readings]
    lines = [f'| top-1, % | {" | ".join(titles)} |', '|---' * (len(titles) + 1) + '|']
    for weights in args.weights:
        cells = []
        for reading in args.readings:
            runs = [Run(weights, reading, seed) for seed in args.seeds]
            found = [value for run in runs if (value := top1(run, run.folder(args.work_dir))) is not None]
            cells.append(f'**{mean(found):.1f}** ({", ".join(f"{value:.1f}" for value in found)})' if found else '')
        lines.append(f'| {"random weights" if weights == "none" else Path(weights).stem} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    for weights in args.weights:
        if weights != 'none':
            find_checkpoint(weights)
    for reading in args.readings:
        config = Path(args.configs.format(reading if reading in JUDGED else 'finetune'))
        if not (ROOT / config).is_file():
            raise UserError(f'--configs {args.configs}: there is no {config}')
    runs = [Run(weights, reading, seed) for seed in args.seeds for weights in args.weights for reading in args.readings]
    with ThreadPoolExecutor(args.jobs) as pool:
        try:
            list(pool.map(lambda run: carry_out(run, args), runs))
        finally:
            pool.shutdown(cancel_futures=True)
            args.work_dir.mkdir(parents=True, exist_ok=True)
            (args.work_dir / 'table.md').write_text(table(args) + '\n')
    print('\n' + table(args))


if __name__ == '__main__':
    launch.run_main(main)
