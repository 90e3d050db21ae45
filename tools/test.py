#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Evaluate a checkpoint: reconstruction loss of an MAE, accuracy of a classifier, box and mask AP of a detector, mIoU,
mAcc and aAcc of a segmentor."""

import argparse

from mae_transfer import launch


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
    with launch.console(args.verbose):
        cfg = launch.load_config(args)
        launch.evaluate(cfg, args.checkpoint, args.shift, args.per_class, args.tta, args.show_dir)


if __name__ == '__main__':
    launch.run_main(main)
