#!/usr/bin/env python
"""Read pre-trained ViTs by k-NN, fast linear probe, partial and whole fine-tuning, over seeds, and write the table.

Runs what a user would run, tools/train.py and tools/test.py on the configs that a pattern names, e.g.
    tools/read_vit.py none work_dirs/small/mae_pretrain_tin20 --configs 'configs/small/{}_tin20.py' --work-dir
    work_dirs/small/read_tin20
reads configs/small/knn_tin20.py, fastprobe_tin20.py and finetune_tin20.py. A run that is done is not done again. The
table is <work-dir>/table.md: mean of the seeds' top-1 and, in brackets, each of them.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from readings import Reading, cell, check_configs, title

from mae_transfer import launch
from mae_transfer.vit.checkpoint import find_checkpoint


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', nargs='+', help="work_dirs or files of ViTs; 'none' for random weights")
    parser.add_argument(
        '--configs',
        required=True,
        metavar='PATTERN',
        help='path of the configs, with {} for knn, fastprobe and finetune',
    )
    parser.add_argument('--work-dir', required=True, type=Path, help='where runs and table are written')
    parser.add_argument(
        '--readings',
        nargs='+',
        default=['knn', 'fastprobe', '0', '.5', '1', '2', 'all'],
        help='knn, fastprobe, and numbers of tuned blocks (all: fine-tuning)',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='for all runs, e.g. data_root=...',
    )
    return parser.parse_args()


def table(args: argparse.Namespace) -> str:
    """Markdown: a row for each ViT, a column for each reading."""
    lines = [f'| top-1, % | {" | ".join(map(title, args.readings))} |', '|---' * (len(args.readings) + 1) + '|']
    for weights in args.weights:
        cells = []
        for kind in args.readings:
            found = [Reading(weights, kind, seed).top1(args.work_dir) for seed in args.seeds]
            cells.append(cell([value for value in found if value is not None]))
        lines.append(f'| {"random weights" if weights == "none" else Path(weights).stem} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def main() -> None:
    """Do what is not done yet, and write the table."""
    args = parse_args()
    for weights in args.weights:
        if weights != 'none':
            find_checkpoint(weights)
    check_configs(args.readings, args.configs, '--configs')
    runs = [Reading(weights, kind, seed) for seed in args.seeds for weights in args.weights for kind in args.readings]
    with ThreadPoolExecutor(args.jobs) as pool:
        try:
            list(pool.map(lambda run: run.carry_out(args.work_dir, args.configs, args.cfg_options), runs))
        finally:
            pool.shutdown(cancel_futures=True)
            args.work_dir.mkdir(parents=True, exist_ok=True)
            (args.work_dir / 'table.md').write_text(table(args) + '\n')
    print('\n' + table(args))


if __name__ == '__main__':
    launch.run_main(main)
