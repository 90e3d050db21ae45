#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Evaluate pre-trained ViTs by k-NN, fast linear probe, partial and full fine-tuning, over seeds, and write a table.

    tools/read_vit.py none work_dirs/small/mae_pretrain_tin20 --configs 'configs/small/{}_tin20.py' \\
        --work-dir work_dirs/small/read_tin20

Each run uses the command that a user would, tools/train.py or tools/test.py, on one of the configs that the pattern
stands for: here configs/small/knn_tin20.py, fastprobe_tin20.py and finetune_tin20.py. Completed runs are not repeated.
The table, <work-dir>/table.md, shows the mean top-1 accuracy over the seeds and, in brackets, that of each seed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mae_transfer import launch
from mae_transfer.errors import UserError
from mae_transfer.experiments.protocols import EvaluationRun, check_protocols, protocol_title, table_cell
from mae_transfer.outputs import output_folder
from mae_transfer.vit.weights.checkpoint import find_checkpoint


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', nargs='+', help="work_dirs or files of ViTs; 'none' for random weights")
    parser.add_argument(
        '--configs',
        required=True,
        metavar='PATTERN',
        help='path of the configs, with {} in place of knn, fastprobe or finetune',
    )
    parser.add_argument('--work-dir', required=True, type=Path, help='folder for runs and table')
    parser.add_argument(
        '--protocols',
        '--readings',
        nargs='+',
        metavar='PROTOCOL',
        default=['knn', 'fastprobe', '0', '.5', '1', '2', 'finetune'],
        help='knn, fastprobe, numbers of tuned blocks, finetune (or all) to tune all blocks; default %(default)s',
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='default 0 1 2')
    parser.add_argument('--jobs', type=int, default=1, help='runs at the same time; default %(default)s')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='KEY=VALUE',
        help='settings for all runs, e.g. data_root=...',
    )
    args = parser.parse_args()
    args.protocols = ['finetune' if protocol == 'all' else protocol for protocol in args.protocols]
    if args.jobs < 1:
        raise UserError(f'--jobs must be 1 or more; found {args.jobs}')
    if len(set(args.seeds)) < len(args.seeds) or min(args.seeds) < 0:
        raise UserError(f'--seeds are different whole numbers, 0 or more; found {" ".join(map(str, args.seeds))}')
    for weights in args.weights:
        if weights != 'none':
            find_checkpoint(weights)
    name, count = Counter(Path(weights).stem for weights in args.weights).most_common(1)[0]
    if count > 1:
        raise UserError(
            f"{count} of the weights have the name '{name}', after which runs and rows are named: rename them"
        )
    check_protocols(args.protocols, args.configs, '--configs')
    args.work_dir = output_folder(args.work_dir, '--work-dir')
    return args


def table(args: argparse.Namespace) -> str:
    """Markdown: a row for each ViT, a column for each protocol."""
    head = ['top-1, %', *map(protocol_title, args.protocols)]
    lines = [f'| {" | ".join(head)} |', '|---' * len(head) + '|']
    for weights in args.weights:
        cells = ['random weights' if weights == 'none' else Path(weights).stem]
        for protocol in args.protocols:
            found = [EvaluationRun(weights, protocol, seed).top1(args.work_dir) for seed in args.seeds]
            cells.append(table_cell([value for value in found if value is not None]))
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def main() -> None:
    """Run what is not completed yet, and write the table."""
    args = parse_args()
    runs = [
        EvaluationRun(weights, protocol, seed)
        for seed in args.seeds
        for weights in args.weights
        for protocol in args.protocols
    ]
    with ThreadPoolExecutor(args.jobs) as pool:
        try:
            list(pool.map(lambda run: run.run(args.work_dir, args.configs, args.cfg_options), runs))
        finally:
            pool.shutdown(cancel_futures=True)
            (args.work_dir / 'table.md').write_text(table(args) + '\n')
    print('\n' + table(args))


if __name__ == '__main__':
    launch.run_main(main)
