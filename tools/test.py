#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Evaluate a checkpoint: reconstruction loss of an MAE, accuracy of a classifier, box and mask AP of a detector, mIoU,
mAcc and aAcc of a segmentor."""

import argparse

from mae_transfer import launch
from mae_transfer.checks import check_config
from mae_transfer.compat import distributed
from mae_transfer.dense.views import average_views
from mae_transfer.settings import change_settings


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument(
        'checkpoint',
        help='checkpoint file of the whole model, or work_dir of its training; for k-NN and the fast probe: of the '
        "ViT, or 'none' for random weights",
    )
    parser.add_argument('--per-class', action='store_true', help='print the accuracy of each class (classification)')
    parser.add_argument(
        '--shift',
        metavar='SET=FOLDER',
        help=f"evaluate on other images of ImageNet's classes: {', '.join(launch.SHIFTS)}",
    )
    parser.add_argument('--show-dir', metavar='DIR', help='write pictures of predictions and ground truth to DIR')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='average the predictions for several scales, also mirrored (semantic segmentation)',
    )
    return parser.parse_args()


def main() -> None:
    """Evaluate a checkpoint."""
    args = parse_args()
    cfg = launch.load_config(args)
    if args.shift:
        cfg = change_settings(cfg, launch.set_shift(cfg, args.shift))
    if args.per_class:
        cfg = change_settings(cfg, launch.set_per_class(cfg))
    check_config(cfg, 'test')
    cfg = change_settings(cfg, launch.set_checkpoint(cfg, args.checkpoint))
    if args.tta:
        cfg = average_views(cfg)
    if args.show_dir:
        cfg = change_settings(cfg, launch.set_show_dir(cfg, args.show_dir))
    distributed.start_group(args.launcher)
    launch.build_runner(cfg, require_all_weights=True).test()


if __name__ == '__main__':
    launch.run_main(main)
