"""Compare time and peak memory of our ViT with backbones of other libraries that compute the same.

    tools/compare_backbones.py --arch base --sizes 512 1024 --threads 2 --json backbones.json
    tools/compare_backbones.py --arch base --sizes 512 1024 --device cuda --dtype bfloat16
    tools/compare_backbones.py --arch base --sizes 1024 --attention

Peers: ``vitdet`` is transformers' VitDetBackbone (decomposed relative positions, windows of 14, a global block at the
end of each quarter, a position embedding for 224 pixels; one map); ``mmseg`` is MMSegmentation's MAE (a table of
relative positions in each block; four maps). With ``--attention``, our attention with decomposed relative positions is
compared with its definition, which stores scores and biases: over all patches of an image (``global``) and within its
windows of 14 (``windows``).

Before anything is timed, both sides must give the same maps (float32, within 1e-4) and gradients (on images of 128
pixels at most, within 1e-4 of the weight's largest gradient) from the same random weights; otherwise the tool ends. A
train step is the forward and the backward pass of the sum of all maps, with all weights trained and no optimiser; a
test step is the forward pass. The steps of both sides take turns in one process; the table shows medians. Memory is
that of weights and buffers, and what the first step adds at its peak: on a GPU as PyTorch counts it, on a CPU as the
growth of a new process's resident memory. ``ours / peer`` below 1 means that ours is better; ``peer / ours``, of
``--peer-over-ours``, above 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

import torch

from ..errors import UserError
from ..planning.device_memory import available_memory
from ..vit.sizes import SIZES
from .arguments import add_measuring_options, check_measuring_options, device_name
from .backbones import MODES, SIDES, Measurement, Setup, check_same_results, table_head
from .peers import PACKAGES, PATCH, import_peer, imported_peers
from .processes import GB
from .ratios import markdown, ratio_cell

#: The columns of ``--peer-over-ours``.
RATIO_HEAD = (
    *('peer', 'pixels', 'step', 'ours, s', 'peer, s', 'peer / ours', 'ours, images/s', 'peer, images/s'),
    *('ours, GB', 'peer, GB', 'peer / ours'),
)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line, or what is given in its place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--peers', nargs='+', metavar='PEER', help=f'from {", ".join(PACKAGES)}; default all that are installed'
    )
    parser.add_argument(
        '--attention', action='store_true', help='compare attention with its definition, instead of backbones'
    )
    parser.add_argument('--arch', choices=SIZES, default='base', help='size of the ViT; default %(default)s')
    parser.add_argument(
        '--sizes', nargs='+', type=int, default=[512, 1024], help='sides of the images, in pixels; default 512 1024'
    )
    add_measuring_options(parser, batch=1)
    parser.add_argument(
        '--compile', action='store_true', help='measure the times of compiled forward passes (torch.compile)'
    )
    parser.add_argument(
        '--peer-over-ours',
        action='store_true',
        help='ratios as peer / ours, of the steps of the same round and with their spread, and images per second, as '
        'in the other parts of tools/benchmark.py',
    )
    parser.add_argument(
        '--memory-limit',
        type=float,
        metavar='GB',
        help='limit for a process on the CPU; default 80 %% of the free memory',
    )
    args = parser.parse_args(arguments)
    if uneven := [size for size in args.sizes if size < 1 or size % PATCH]:
        raise UserError(f'--sizes: {uneven[0]} is not a multiple of the patch size, {PATCH}')
    check_measuring_options(args)
    args.peers = ['global', 'windows'] if args.attention else imported_peers(args.peers, list(PACKAGES), import_peer)
    return args


def ratio_row(row: Measurement, setup: Setup) -> str:
    """The row of a measurement in the table of ``--peer-over-ours``."""
    cells = [row.peer, str(row.size), row.mode]
    ours, theirs = (getattr(row, side).get('all_s') for side in SIDES)
    cells += ['does not fit' if seconds is None else f'{median(seconds):.4g}' for seconds in (ours, theirs)]
    cells.append(ratio_cell(theirs, ours) if ours and theirs else '')
    cells += ['' if seconds is None else f'{setup.batch / median(seconds):.4g}' for seconds in (ours, theirs)]
    memory = [getattr(row, side).get('GB') for side in SIDES]
    cells += ['' if value is None else f'{value:.3g}' for value in memory]
    cells.append(f'{memory[1] / memory[0]:.2f}' if all(memory) else '')
    return f'| {" | ".join(cells)} |'


def setup_of(args: argparse.Namespace) -> Setup:
    """The settings of the measurement that the command line describes."""
    limit = None
    if args.device == 'cpu':
        limit = round(0.8 * available_memory() / GB, 1) if args.memory_limit is None else args.memory_limit
    dtype = getattr(torch, args.dtype)
    return Setup(args.arch, args.batch, args.device, dtype, args.rounds, args.warm_up, limit, args.compile)


def run(args: argparse.Namespace) -> None:
    """Check that both sides compute the same, measure memory and time, and print the table."""
    setup = setup_of(args)
    torch.set_num_threads(args.threads)
    pairs = [(peer, size) for peer in args.peers for size in args.sizes]
    for peer, size in pairs:
        print(check_same_results(peer, size, setup), flush=True)
    rows = [Measurement(*pair, mode) for pair in pairs for mode in MODES]
    for row in rows:
        row.measure_memory(setup)
    # Time is measured last: a process that has computed with several threads cannot be forked.
    device = device_name(args.device, args.threads)
    precision = f'{args.dtype}, compiled' if args.compile else args.dtype
    print(
        f'\n{args.arch}, batch {args.batch}, {precision}, medians of {args.rounds} steps; {device}, '
        f'PyTorch {torch.__version__}\n\n{markdown(RATIO_HEAD, []) if args.peer_over_ours else table_head()}'
    )
    for row in rows:
        row.measure_time(setup)
        line = ratio_row(row, setup) if args.peer_over_ours else row.table_row(setup.memory_limit)
        print(line, flush=True)
    if args.json:
        settings = dict(device=device, torch=torch.__version__, arch=args.arch, batch=args.batch, dtype=args.dtype)
        settings['compiled'] = args.compile
        args.json.write_text(json.dumps(dict(settings, rows=[asdict(row) for row in rows]), indent=1) + '\n')


def main() -> None:
    """The command line."""
    run(parse_args())
