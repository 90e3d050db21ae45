#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Train the model of a config: MAE pre-training, classification, detection, segmentation."""

import argparse

from mae_transfer import launch


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
    with launch.console(args.verbose):
        launch.train(launch.load_config(args), args.amp, args.resume, args.load_from)


if __name__ == '__main__':
    launch.run_main(main)
