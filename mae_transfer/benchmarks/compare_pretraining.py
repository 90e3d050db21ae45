"""Compare a training step of MAE with other projects', on the same work: time, memory, and share of the machine.

    tools/benchmark.py pretrain --arch base --batch 8 --threads 2 --json pretrain.json
    tools/benchmark.py pretrain --device cuda --dtype bfloat16 --arch large --batch 64 --compile
    tools/benchmark.py pretrain --peers plain official --official ../mae

Peers: ``plain`` is MAE in the form of the published code, built of timm's blocks with attention that stores its scores;
``transformers`` is ViTMAEForPreTraining, ``lightly`` its masked ViT with its decoder, ``mmpretrain`` its MAE,
``official`` the official code in the folder that ``--official`` names, around blocks as in ``plain``.

Before anything is timed, each peer must have the loss of ours, from the same weights, images and mask (float32, within
1e-5; the difference in bfloat16 is shown, too); otherwise the tool ends. The whole step is forward, backward and the
optimiser: ours as in configs/_base_/mae_pretrain.py, with its check that gradients are finite; a peer's is
torch.optim.AdamW as it is by default. Reading and normalising images is no part of it. The sides take turns, in
alternating order; times are medians, and ratios those of the same rounds, with the middle half of the rounds (all, of
fewer than four). Above 1 ours is better.

Memory is that of the weights and of what two steps add at their peak: on a GPU as PyTorch counts it, on a CPU as the
growth of a new process. FLOPs are counted of our step, three times the forward pass, for all sides; the share is that
of the fastest of three products of square matrices, measured between the steps.
"""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import torch

from ..errors import UserError
from ..experiments.flops import count_flops
from ..planning.device_memory import available_memory
from ..vit.sizes import resolve_size
from .arguments import add_measuring_options, check_measuring_options, device_name
from .backbones import Setup
from .official_mae import use_official
from .peers import imported_peers
from .pretrain_peers import PRETRAIN_PEERS
from .pretrain_sides import OURS, Work, check_same_loss, side_memory, step_times
from .processes import GB
from .ratios import markdown, ratio_cell

HEAD = (
    *('side', 'forward + backward, s', 'peer / ours', 'whole step, s', 'peer / ours', 'images/s'),
    *('GB', 'peer / ours', 'TFLOP/s', 'of a matrix product', 'loss, difference to ours'),
)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line, or what is given in its place; imports the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--peers', nargs='+', metavar='PEER', help=f'from {", ".join(PRETRAIN_PEERS)}; default all that are installed'
    )
    parser.add_argument('--official', metavar='FOLDER', help='a checkout of facebookresearch/mae')
    parser.add_argument('--arch', default='base', help='size of the ViT, or WIDTHxDEPTHxHEADS; default %(default)s')
    parser.add_argument(
        '--decoder', default=Work.decoder, metavar='WIDTHxDEPTHxHEADS', help='size of the decoder; default %(default)s'
    )
    parser.add_argument(
        '--image-size', type=int, default=Work.image_size, help='side of the images in pixels; default %(default)s'
    )
    add_measuring_options(parser, batch=8, dtypes=('float32', 'bfloat16'), warm_up=2)
    parser.add_argument('--compile', action='store_true', help='compile the forward pass of every side (torch.compile)')
    args = parser.parse_args(arguments)
    check_measuring_options(args)
    for size in (args.arch, args.decoder):
        resolve_size(size)
    if args.official:
        use_official(args.official)
    every = [name for name in PRETRAIN_PEERS if name != 'official' or args.official or 'official' in (args.peers or ())]
    args.peers = imported_peers(args.peers, every, lambda name: PRETRAIN_PEERS[name].load())
    return args


def work_of(args: argparse.Namespace) -> Work:
    """What the command line asks for."""
    limit = 0.8 * available_memory() / GB if args.device == 'cpu' else None
    setup = Setup(
        *(args.arch, args.batch, args.device, getattr(torch, args.dtype), args.rounds, args.warm_up, limit),
        compiles=args.compile,
    )
    return Work(setup, args.image_size, args.decoder)


def measure(names: list[str], work: Work) -> dict[str, Any]:
    """Compare the losses, then measure memory and time.

    Returns:
        ``matrix_flops``, the rate of the matrix product in FLOP/s; ``step_flops``, of a step; ``sides``: for each its
        ``passes_s`` and ``step_s``, seconds of each round, unless it does not fit into memory; ``GB`` where it was
        measured; ``loss``, the differences or why there are none.

    Raises:
        UserError: a peer computes something else.
    """
    compared: dict[str, Any] = {}
    for name in names:
        compared[name] = check_same_loss(name, work)
        print(f'{name}: {loss_text(compared[name])}', flush=True)
    sides: dict[str, dict] = {name: dict(loss=compared.get(name)) for name in (OURS, *names)}
    fitting = list(sides)
    if not (work.setup.compiles and work.setup.device == 'cpu'):  # compiling takes memory of the process, too
        for name, found in sides.items():
            with contextlib.suppress(MemoryError):
                found['GB'] = work.setup.run_isolated(side_memory, name, work)
        fitting = [name for name, found in sides.items() if 'GB' in found]
    # Last: a process that has computed with several threads cannot be forked.
    passes, whole, rate = step_times(fitting, work)
    for name in fitting:
        sides[name].update(passes_s=passes[name], step_s=whole[name])
    flops = 3 * count_flops(work.config().model)['total'] * work.setup.batch
    return dict(matrix_flops=rate, step_flops=flops, sides=sides)


def loss_text(compared: Mapping[str, float] | str | None) -> str:
    """The differences of the losses, by precision."""
    if compared is None or isinstance(compared, str):
        return compared or ''
    return ', '.join(f'{dtype} {difference:.1e}' for dtype, difference in compared.items())


def table(found: Mapping[str, Any], batch: int) -> str:
    """Markdown: a row for each side, ours first."""
    ours = found['sides'][OURS]
    return markdown(HEAD, [_row(name, side, ours, found, batch) for name, side in found['sides'].items()])


def _row(name: str, side: Mapping[str, Any], ours: Mapping[str, Any], found: Mapping[str, Any], batch: int) -> list:
    """The cells of a side."""
    if 'step_s' not in side:
        return [name, 'does not fit', *[''] * (len(HEAD) - 3), loss_text(side['loss'])]

    def ratio(key: str) -> str:
        return ratio_cell(side[key], ours[key]) if name != OURS and key in ours else ''

    step, memory = median(side['step_s']), side.get('GB')
    rate = found['step_flops'] / step
    return [
        *(name, f'{median(side["passes_s"]):.4g}', ratio('passes_s'), f'{step:.4g}', ratio('step_s')),
        *(f'{batch / step:.4g}', '' if memory is None else f'{memory:.3g}'),
        f'{memory / ours["GB"]:.2f}' if name != OURS and memory and ours.get('GB') else '',
        *(f'{rate / 1e12:.3g}', f'{rate / found["matrix_flops"]:.0%}', loss_text(side['loss'])),
    ]


def run(args: argparse.Namespace) -> None:
    """Compare, measure, and print the table."""
    torch.set_num_threads(args.threads)
    work = work_of(args)
    config = work.config()  # refuses impossible sizes before anything is measured
    if config.image_size % (resolve_size(args.arch).patch_size):
        raise UserError(f'--image-size {args.image_size} is no multiple of the patches of --arch {args.arch}')
    found = measure(args.peers, work)
    device = device_name(args.device, args.threads)
    print(
        f'\n{args.arch}, decoder {args.decoder}, {args.image_size} pixels, batch {args.batch}, {args.dtype}'
        f'{", compiled" if args.compile else ""}, {args.rounds} rounds; {device}, PyTorch {torch.__version__}; matrix '
        f'product {found["matrix_flops"] / 1e12:.3g} TFLOP/s\n\n{table(found, args.batch)}'
    )
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key not in ('json', 'official')}
        found = dict(settings, device=device, torch=torch.__version__, **found)
        args.json.write_text(json.dumps(found, indent=1) + '\n')


def main() -> None:
    """The command line."""
    run(parse_args())
