"""Before a training: which splits of its batch fit into the GPUs' memory, how long it takes, and the command line.
Needs no GPU and no data, and measures nothing: the memory is that of all tensors of a training step on fake
tensors; the time follows from the matrix rate, or from the images per second, that you state. CONFIG is a file, or
mae_transfer::NAME.py for one of the package's own."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .parser import add_settings

if TYPE_CHECKING:
    from ..planning.written_plan import Request

EXAMPLES = (
    'mae-transfer plan mae_transfer::mae_pretrain_vitb.py --gpus 4 --gpu-memory 24 --images 1281167 --tflops 165',
    'mae-transfer plan mae_transfer::ade20k_upernet_vitb.py --gpus 2 --gpu-memory 24 --images-per-second 30',
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which training, on what, and what is known of its speed."""
    from ..planning.fitting import MARGIN

    parser.add_argument('config', help='config that trains')
    parser.add_argument('--gpus', type=int, required=True, help='that train together')
    parser.add_argument('--gpu-memory', type=float, required=True, metavar='GB', help='of each, in 1e9 bytes')
    parser.add_argument(
        '--margin', type=float, default=MARGIN, help='share of the memory that stays free; default %(default)s'
    )
    parser.add_argument('--images', type=int, help='in the training data, for steps and days of a run of epochs')
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument('--images-per-second', type=float, metavar='X', help='of all GPUs together, if you measured it')
    rate.add_argument('--tflops', type=float, metavar='Y', help="matrix rate of a GPU in the config's precision")
    parser.add_argument(
        '--share', type=float, default=0.3, help='share of --tflops that is assumed to be reached; default %(default)s'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the plan to FILE')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options, and settings of the config."""
    add_options(parser)
    add_settings(parser)


def request_of(args: argparse.Namespace) -> Request:
    """What is asked for; raises ``UserError`` for numbers that cannot be, and a file that cannot be written."""
    from ..outputs import output_file
    from ..planning.written_plan import Request

    if args.json:
        args.json = output_file(args.json, '--json')
    rates = (args.images_per_second, args.tflops, args.share)
    return Request(args.config, args.cfg_options, args.gpus, args.gpu_memory, args.margin, args.images, *rates)


def run(args: argparse.Namespace) -> None:
    """Print the plan."""
    from ..planning.written_plan import write_plan

    lines, plan = write_plan(request_of(args))
    print('\n'.join(lines))
    if args.json:
        args.json.write_text(json.dumps(plan, indent=1) + '\n')
