#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Train the model of a config: MAE pre-training, classification, detection, segmentation."""

import argparse

from mae_transfer import launch
from mae_transfer.compat import distributed
from mae_transfer.runs.resuming import checkpoints_of_run
from mae_transfer.settings import change_settings
from mae_transfer.vit.weights.checkpoint import find_checkpoint


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    launch.common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|FILE',
        help='resume from the last checkpoint of the work_dir (auto: or start, if it has none), or from FILE',
    )
    parser.add_argument('--load-from', metavar='FILE', help='start with the weights of a whole model in FILE')
    parser.add_argument('--amp', choices=tuple(launch.AMP_DTYPES), help="precision; default the config's")
    return parser.parse_args()


def main() -> None:
    """Train the model of a config."""
    args = parse_args()
    cfg = launch.load_config(args)
    changes = launch.set_amp(cfg, args.amp) if args.amp else []
    if (args.resume == 'auto' or distributed.is_restart()) and checkpoints_of_run(cfg.work_dir):
        changes += [('resume', True), ('load_from', None)]
    elif args.resume not in (None, 'auto'):
        changes += [('resume', True), ('load_from', str(find_checkpoint(args.resume)))]
    elif args.load_from:
        changes.append(('load_from', str(find_checkpoint(args.load_from))))
    cfg = change_settings(cfg, changes)
    launch.prepare_training(cfg)
    distributed.start_group(args.launcher)
    launch.build_runner(cfg, require_all_weights=False).train()


if __name__ == '__main__':
    launch.run_main(main)
