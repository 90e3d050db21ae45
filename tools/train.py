#!/usr/bin/env python
"""Train what a config describes: MAE pre-training, classification, detection, segmentation."""

import argparse

from mae_transfer import launch
from mae_transfer.compat import distributed
from mae_transfer.vit.checkpoint import find_checkpoint


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|FILE',
        help='go on with the last checkpoint of the work_dir, or with FILE; auto starts anew where there is none',
    )
    parser.add_argument('--load-from', metavar='FILE', help='start from the weights of the whole model in FILE')
    parser.add_argument('--amp', choices=tuple(launch.AMP_DTYPES), help="precision; default the config's")
    return parser.parse_args()


def main() -> None:
    """Train what the config says."""
    args = parse_args()
    cfg = launch.load_config(args)
    launch.set_amp(cfg, args.amp)
    plan = launch.prepare_training(cfg, args.launcher)
    if args.load_from:
        cfg.load_from = str(find_checkpoint(args.load_from))
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else str(find_checkpoint(args.resume))
    distributed.start_group(args.launcher)
    runner = launch.build_runner(cfg, complete=False)
    if plan is not None:
        runner.logger.info(str(plan))
    runner.train()


if __name__ == '__main__':
    launch.run_main(main)
