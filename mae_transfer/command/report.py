"""Write what runs learnt into one HTML file: results, curves, reconstructions, how runs compare. It opens from disk,
loads nothing from elsewhere, and stays below 5 MB, so that it can be mailed."""

from __future__ import annotations

import argparse

from .models import add_device

EXAMPLES = (
    'mae-transfer report work_dirs/mae --out report.html',
    'mae-transfer report work_dirs/quickstart work_dirs/detector --out report.html --evaluate',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Runs, and what is shown of them."""
    parser.add_argument(
        'runs', nargs='+', metavar='RUN', help='work_dir of a training, a checkpoint in one, or a folder of work_dirs'
    )
    parser.add_argument('--out', required=True, metavar='FILE', help='file to write, .html')
    parser.add_argument(
        '--evaluate',
        action='store_true',
        help="also predict the images of each run's validation data, and show the worst first: minutes, and the data "
        'must be there',
    )
    parser.add_argument(
        '--pictures', type=int, default=12, metavar='N', help='the most of an evaluation; default %(default)s'
    )
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Write the report, and tell where it is."""
    from ..reporting.report import report

    print(report(args.runs, args.out, evaluate=args.evaluate, pictures=args.pictures, device=args.device))
