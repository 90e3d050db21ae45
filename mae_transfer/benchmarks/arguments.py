"""Options that the benchmarks share, and what they say of the machine."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..errors import UserError
from ..outputs import output_file


def add_measuring_options(
    parser: argparse.ArgumentParser,
    *,
    batch: int,
    what: str = 'side',
    dtypes: tuple[str, ...] = ('float32', 'bfloat16', 'float16'),
    warm_up: int = 1,
) -> None:
    """Add how often, where and how precisely steps are measured, and where the numbers go.

    Args:
        batch: default number of images.
        what: the things that take turns, for the help.
        dtypes: choices of ``--dtype``, first the default.
        warm_up: default number of steps that are not measured.
    """
    parser.add_argument('--batch', type=int, default=batch, help='images per step; default %(default)s')
    parser.add_argument('--rounds', type=int, default=5, help=f'measured steps of each {what}; default %(default)s')
    parser.add_argument(
        '--warm-up',
        type=int,
        default=warm_up,
        help=f'steps of each {what} before the measured ones; default %(default)s',
    )
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--dtype', choices=dtypes, default=dtypes[0], help='precision of autocast; float32, the default: no autocast'
    )
    add_output_options(parser)


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of threads, and where the numbers go."""
    parser.add_argument(
        '--threads', type=int, default=torch.get_num_threads(), help="threads on the CPU; default PyTorch's choice"
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the numbers to FILE')


def check_measuring_options(args: argparse.Namespace, needs_device: bool = True) -> None:
    """Refuse options of :func:`add_measuring_options` that cannot be; makes the folder of ``--json``.

    Raises:
        UserError: a number that is too small; no GPU; a file that cannot be written.
    """
    if min(args.batch, args.rounds, args.threads) < 1 or args.warm_up < 0:
        raise UserError('--batch, --rounds and --threads must be 1 or more, --warm-up 0 or more')
    if args.device == 'cuda' and not torch.cuda.is_available() and needs_device:
        raise UserError('--device cuda: PyTorch finds no GPU; choose --device cpu')
    if args.json:
        args.json = output_file(args.json, '--json')


def device_name(device: str, threads: int) -> str:
    """What was measured on, for the line above a table."""
    return torch.cuda.get_device_name() if device == 'cuda' else f'CPU, {threads} threads'
