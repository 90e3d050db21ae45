#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""The quickstart: generate scenes, pre-train an MAE, train Mask R-CNN and UperNet from random and from MAE weights.

With --photos: pre-train an MAE on a few real photos instead, and look at its reconstructions.
It runs and prints the commands that a user would type, and shows the time left. tools/quickstart.sh calls it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import monotonic

# Nothing here may import PyTorch, so that the first progress appears at once.
from mae_transfer.errors import UserError
from mae_transfer.experiments.quickstart import draw, report, stages
from mae_transfer.experiments.quickstart_photos import photo_folder, photo_report, photo_stages, write_photos
from mae_transfer.experiments.steps import Pipeline
from mae_transfer.outputs import output_folder


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='folder for everything; default work_dirs/quickstart, with --photos work_dirs/quickstart_photos',
    )
    parser.add_argument(
        '--photos',
        action='store_true',
        help='pre-train on the photos inside of scikit-image (pip install scikit-image), and look at reconstructions',
    )
    parser.add_argument('--seed', type=int, default=0, help='random seed of all trainings; default %(default)s')
    parser.add_argument(
        '--pretrain-only-here',
        action='store_true',
        help="use the MAE weights of the quickstart's own short pre-training, not those that come with the package",
    )
    args = parser.parse_args()
    if args.photos and args.pretrain_only_here:
        raise UserError('--pretrain-only-here is of the quickstart on scenes: leave it out, or leave --photos out')
    default = Path('work_dirs', 'quickstart_photos' if args.photos else 'quickstart')
    args.work_dir = output_folder(args.work_dir or default, '--work-dir')
    return args


def main() -> None:
    """Run all stages, and write the table and the pictures."""
    args, start = parse_args(), monotonic()
    if args.photos:
        on_photos(args, start)
        return
    pipeline = Pipeline(stages(args.work_dir, args.seed, args.pretrain_only_here), args.work_dir / 'logs')
    pipeline.run()
    draw(args.work_dir)
    minutes = (monotonic() - start) / 60
    text = report(args.work_dir, pipeline.steps, args.seed, args.pretrain_only_here, minutes)
    (args.work_dir / 'table.md').write_text(text + '\n')
    print(f'\n{text}')


def on_photos(args: argparse.Namespace, start: float) -> None:
    """Run the stages on real photos."""
    write_photos(photo_folder(), args.work_dir / 'photos')
    pipeline = Pipeline(photo_stages(args.work_dir, args.seed), args.work_dir / 'logs')
    pipeline.run()
    print(f'\n{photo_report(args.work_dir, pipeline.stages, (monotonic() - start) / 60)}')


if __name__ == '__main__':
    try:
        main()
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
