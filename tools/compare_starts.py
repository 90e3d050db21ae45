#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Compare pre-trainings: fine-tune from each on the same schedule, for several tasks and seeds, and write one table.

    tools/compare_starts.py --starts mae=work_dirs/mae_pretrain_vitb mocov3=vit-b-300ep.pth.tar none \\
        --tasks classify detect segment --seeds 0 1 2 --work-dir work_dirs/starts \\
        --data classify=data/imagenet detect=data/coco segment=data/ade/ADEChallengeData2016

A start is NAME=WEIGHTS, or `none` for random weights. A NAME of mae_transfer/starts.py also sets `init`, so that sizes,
positions, normalisation and what was published for it follow; NAME:INIT=WEIGHTS gives the row another name. Each run is
the command that a user would give, tools/train.py on the task's config. Completed runs are not repeated, interrupted
ones go on. The table, <work-dir>/table.md, has mean and standard deviation over the seeds, each seed's value, and the
difference to the first start, paired by seed, with the standard error of its mean.

What the pre-trainings cost is measured by tools/measure_cost.py on their configs.
"""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mae_transfer import launch
from mae_transfer.compat.package_configs import find_config
from mae_transfer.errors import UserError
from mae_transfer.experiments.start_comparison import TASKS, StartRun, comparison_table, parse_start
from mae_transfer.outputs import output_folder


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--starts',
        nargs='+',
        required=True,
        metavar='NAME=WEIGHTS',
        help='the rows; the first is what the others are compared with',
    )
    parser.add_argument('--tasks', nargs='+', choices=list(TASKS), default=list(TASKS), help='default all')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='default 0 1 2')
    parser.add_argument('--work-dir', required=True, type=Path, help='folder for runs and table')
    parser.add_argument('--configs', nargs='+', default=[], metavar='TASK=CONFIG', help='other configs of tasks')
    parser.add_argument('--data', nargs='+', default=[], metavar='TASK=DATA_ROOT', help="default the configs' own")
    parser.add_argument('--jobs', type=int, default=1, help='runs at the same time; default %(default)s')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        default=[],
        metavar='[TASK:]KEY=VALUE',
        help='settings for all runs, or for those of a task, e.g. detect:max_epochs=12',
    )
    args = parser.parse_args()
    if args.jobs < 1:
        raise UserError(f'--jobs must be 1 or more; found {args.jobs}')
    if len(set(args.seeds)) < len(args.seeds) or min(args.seeds) < 0:
        raise UserError(f'--seeds are different whole numbers, 0 or more; found {" ".join(map(str, args.seeds))}')
    args.starts = [parse_start(text) for text in args.starts]
    name, count = Counter(row.name for row in args.starts).most_common(1)[0]
    if count > 1:
        raise UserError(f"--starts: {count} have the name '{name}', after which runs and rows are named: rename them")
    configs, data = _by_task(args.configs, '--configs'), _by_task(args.data, '--data')
    args.configs = {task: str(find_config(configs.get(task, TASKS[task].config), '--configs')) for task in args.tasks}
    args.options = {task: [f'data_root={data[task]}'] if task in data else [] for task in args.tasks}
    for option in args.cfg_options:
        task, _, setting = option.partition(':')
        for name in args.tasks:
            if task not in TASKS:
                args.options[name].append(option)
            elif task == name:
                args.options[name].append(setting)
    args.work_dir = output_folder(args.work_dir, '--work-dir')
    return args


def _by_task(pairs: list[str], option: str) -> dict[str, str]:
    """The values of TASK=VALUE by task."""
    found = {}
    for pair in pairs:
        task, equals, value = pair.partition('=')
        if not equals or task not in TASKS:
            raise UserError(f"{option} '{pair}': give TASK=VALUE, with one of {', '.join(TASKS)}")
        found[task] = value
    return found


def main() -> None:
    """Run what is not completed yet, and write the table."""
    args = parse_args()
    runs = [StartRun(task, row, seed) for seed in args.seeds for task in args.tasks for row in args.starts]
    with ThreadPoolExecutor(args.jobs) as pool:
        try:
            list(pool.map(lambda run: run.run(args.work_dir, args.configs[run.task], args.options[run.task]), runs))
        finally:
            pool.shutdown(cancel_futures=True)
            table = comparison_table(args.starts, args.tasks, args.seeds, args.work_dir)
            (args.work_dir / 'table.md').write_text(table + '\n')
    print('\n' + table)


if __name__ == '__main__':
    launch.run_main(main)
