#!/usr/bin/env python
"""Judge a checkpoint: reconstruction loss of an MAE, accuracy of a classifier, box and mask AP on COCO, mIoU, mAcc and
aAcc on ADE20K."""

import argparse

from mae_transfer import checks, launch
from mae_transfer.compat import distributed
from mae_transfer.dense.checks import check_windows
from mae_transfer.dense.test_time import average_views


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument(
        'checkpoint',
        help='checkpoint of the whole model, or work_dir of its run; of the ViT for k-NN and the fast probe',
    )
    parser.add_argument('--per-class', action='store_true', help='print a table of the classes (classification)')
    parser.add_argument(
        '--shift', metavar='SET=FOLDER', help=f"judge on other images of ImageNet's classes: {', '.join(launch.SHIFTS)}"
    )
    parser.add_argument('--show-dir', metavar='DIR', help='write predictions beside the truth as pictures')
    parser.add_argument(
        '--tta', action='store_true', help='average predictions at several scales, mirrored too (semantic segmentation)'
    )
    return parser.parse_args()


def main() -> None:
    """Judge a checkpoint."""
    args = parse_args()
    cfg = launch.load_config(args)
    if args.shift:
        launch.judge_under_shift(cfg, args.shift)
    if args.per_class:
        launch.show_classes(cfg)
    checks.check_sizes(cfg, 'test')
    checks.check_data(cfg, 'test')
    check_windows(cfg)
    cfg = launch.judge(cfg, args.checkpoint)
    if args.tta:
        average_views(cfg)
    if args.show_dir:
        launch.draw_predictions(cfg, args.show_dir)
    distributed.start_group(args.launcher)
    launch.build_runner(cfg, complete=True).test()


if __name__ == '__main__':
    launch.run_main(main)
