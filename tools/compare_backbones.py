#!/usr/bin/env python
"""Time and peak memory of our ViT beside those of other libraries' backbones that compute the same numbers.

    tools/compare_backbones.py --arch base --sizes 512 1024 --threads 2 --json backbones.json
    tools/compare_backbones.py --arch base --sizes 512 1024 --device cuda --dtype bfloat16
    tools/compare_backbones.py --arch base --sizes 1024 --attention

Peers: ``vitdet`` is transformers' VitDetBackbone (decomposed relative positions, windows of 14, a global block at the
end of each quarter, position table of 224 pixels; one map), ``mmseg`` is MMSegmentation's MAE (a table of relative
positions in each block; four maps). With ``--attention`` the peer is attention with decomposed relative positions by
its definition, which stores scores and biases, over all tokens of an image (``global``) and within its windows of 14
(``windows``).

Before anything is timed both sides, with the same random weights, must give the same maps (float32, to 1e-4) and
gradients (on images of 128 pixels at most, to 1e-4 of each weight's largest); otherwise the tool ends. A train step is
forward and backward of the sum of the maps, all weights trained, and gradients dropped; a test step is forward alone.
The steps of both sides take turns in one process; the table has medians. Memory is what weights and buffers take and
what a first step adds at its peak: on a GPU as PyTorch counts it, on a CPU as the growth of a new process's resident
size. ``ours / peer`` below 1 is in our favour.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import importlib
import json
import multiprocessing
import re
import resource
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peers import CASES, PACKAGES, PATCH, Case
from torch import Tensor, nn

from mae_transfer import launch
from mae_transfer.errors import UserError
from mae_transfer.vit.sizes import SIZES, Size

TOLERANCE, GB = 1e-4, 1e9
MODES = ('train', 'test')


def inputs_of(case: Case, device: str) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(case.inputs).to(device).requires_grad_(case.trains_inputs)


def forward(model: nn.Module, inputs: Tensor) -> tuple[Tensor, ...]:
    """The maps; transformers wraps them."""
    outputs = model(inputs)
    return getattr(outputs, 'feature_maps', outputs)


def step(model: nn.Module, inputs: Tensor, mode: str, dtype: torch.dtype) -> None:
    """One train or test step, to its end."""
    with (
        torch.set_grad_enabled(mode == 'train'),
        torch.autocast(inputs.device.type, dtype, enabled=dtype != torch.float32),
    ):
        maps = forward(model, inputs)
    if mode == 'train':
        sum(one.float().sum() for one in maps).backward()
        model.zero_grad()
        inputs.grad = None
    if inputs.is_cuda:
        torch.cuda.synchronize()


def gradients(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Of the sum of the maps, for every trained weight."""
    sum(one.sum() for one in forward(model, inputs)).backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}


def compare(peer: str, size: int, args: argparse.Namespace) -> tuple[float, float]:
    """Largest difference of the maps of both sides; of the gradients, over each weight's largest."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    case = CASES[peer](SIZES[args.arch], size, 1)
    with torch.no_grad():
        ours, theirs = (
            forward(build().to(args.device), inputs_of(case, args.device)) for build in (case.ours, case.theirs)
        )
    if [one.shape for one in ours] != [one.shape for one in theirs]:
        raise UserError(f'{peer} gives {len(theirs)} maps, ours {len(ours)}, or of other shapes: nothing was timed')
    values = max((one - other).abs().max().item() for one, other in zip(ours, theirs))
    case = CASES[peer](SIZES[args.arch], min(size, 128), 1)
    ours, theirs = (
        gradients(build().to(args.device), inputs_of(case, args.device)) for build in (case.ours, case.theirs)
    )
    ours = case.names(ours)
    if set(ours) != set(theirs):
        raise UserError(
            f'{peer} trains other weights than ours, e.g. {min(set(ours) ^ set(theirs))}: nothing was timed'
        )
    # The gradient of keys' biases is zero but for rounding: nothing to compare it with but the others.
    floor = 1e-3 * max(value.abs().max() for value in theirs.values())
    return values, max(
        ((ours[name] - value).abs().max() / value.abs().max().clamp(min=floor)).item() for name, value in theirs.items()
    )


def resident() -> dict[str, int]:
    """This process's VmSize, VmRSS and VmHWM (its peak), in bytes."""
    return {
        name: int(size) * 1024
        for name, size in re.findall(r'(Vm\w+):\s+(\d+) kB', Path('/proc/self/status').read_text())
    }


@contextlib.contextmanager
def limited(args: argparse.Namespace) -> Iterator[None]:
    """Within, this process holds ``--memory-limit`` at most; what asks for more ends in a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    if args.device == 'cpu':
        now = resident()  # The limit is on addresses, of which libraries have many that they never touch.
        resource.setrlimit(resource.RLIMIT_AS, (int(args.memory_limit * GB) + now['VmSize'] - now['VmRSS'], before[1]))
    try:
        yield
    except (RuntimeError, ImportError) as error:  # the latter of a library that is first needed within
        if not re.search('(allocate|not enough|out of) memory|bad_alloc|failed to map', str(error)):
            raise
        raise MemoryError from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def guarded(function: Callable, *arguments: Any) -> Any:
    """``function(*arguments)``, of which the last are the tool's, within its :func:`limited` memory."""
    with limited(arguments[-1]):
        return function(*arguments)


def in_new_process(function: Callable, *arguments: Any) -> Any:
    """``function(*arguments)`` in a fork of this process, which has computed nothing yet, so that it holds nothing but
    libraries."""

    def work() -> None:
        try:
            sender.send(function(*arguments))
        except (MemoryError, UserError) as error:
            sender.send(error)

    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work)
    process.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        result = None
    process.join()
    if process.exitcode == -signal.SIGKILL:  # the system's way to say that memory is full
        result = MemoryError()
    elif process.exitcode:
        raise RuntimeError(f'the process of {function.__name__}{arguments} ended with exit code {process.exitcode}')
    if isinstance(result, Exception):
        raise result
    return result


def peak(peer: str, size: int, mode: str, side: str, args: argparse.Namespace) -> tuple[int, int]:
    """Bytes of the weights and buffers of one side ('ours', 'theirs'), and what its first step adds at its peak."""
    # What the first step of a process brings up (code, buffers of libraries) is no part of the measured one.
    case = CASES[peer](Size(64, 4, 2), 32, 1)
    step(getattr(case, side)().to(args.device), inputs_of(case, args.device), mode, args.dtype)
    case = CASES[peer](SIZES[args.arch], size, args.batch)
    model, inputs = getattr(case, side)().to(args.device), inputs_of(case, args.device)
    model.train(mode == 'train')
    gc.collect()
    if inputs.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(model, inputs, mode, args.dtype)
        added = torch.cuda.max_memory_allocated() - before
    else:
        with contextlib.suppress(AttributeError):  # glibc's; what it holds back would serve the step without being seen
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):  # where it is not permitted, building the model must not have been the peak
            Path('/proc/self/clear_refs').write_text('5')
        before = resident()['VmRSS']
        step(model, inputs, mode, args.dtype)
        added = max(0, resident()['VmHWM'] - before)  # the system counts pages in lots: a step of nothing can give less
    return sum(value.nbytes for value in [*model.parameters(), *model.buffers()]), added


def seconds(peer: str, size: int, mode: str, sides: list[str], args: argparse.Namespace) -> dict[str, list[float]]:
    """The time of each step of each side, which take turns."""
    case = CASES[peer](SIZES[args.arch], size, args.batch)
    models = {side: getattr(case, side)().to(args.device) for side in sides}
    for model in models.values():
        model.train(mode == 'train')
    inputs = inputs_of(case, args.device)
    times = {side: [] for side in sides}
    for turn in range(args.warm_up + args.rounds):
        for side in sides[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            step(models[side], inputs, mode, args.dtype)
            times[side].append(time.perf_counter() - start)
    return {side: values[args.warm_up :] for side, values in times.items()}


def import_peer(peer: str) -> None:
    """Import a peer's package here, once, instead of in every process that measures it.

    Raises:
        UserError: it is not installed.
    """
    module, package = PACKAGES.get(peer, ('peers', None))
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f'{module}.'.startswith(f'{error.name}.'):
            raise
        raise UserError(
            f"peer '{peer}' needs the package {package}: pip install {package}, or name other --peers"
        ) from None


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--peers', nargs='+', default=list(PACKAGES), metavar='PEER', help=f'of {", ".join(PACKAGES)}; default all'
    )
    parser.add_argument(
        '--attention', action='store_true', help='compare attention alone with its definition, instead of backbones'
    )
    parser.add_argument('--arch', choices=SIZES, default='base')
    parser.add_argument(
        '--sizes', nargs='+', type=int, default=[512, 1024], help='sides of the images, in pixels; default 512 1024'
    )
    parser.add_argument('--batch', type=int, default=1, help='images a step')
    parser.add_argument('--rounds', type=int, default=5, help='measured steps of each side')
    parser.add_argument('--warm-up', type=int, default=1, help='steps of each side before them')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--dtype',
        choices=('float32', 'bfloat16', 'float16'),
        default='float32',
        help='of autocast; float32: without, and without TF32',
    )
    parser.add_argument(
        '--threads', type=int, default=torch.get_num_threads(), help="on the CPU; default PyTorch's choice"
    )
    parser.add_argument(
        '--memory-limit', type=float, metavar='GB', help='for a process (CPU); default 80 %% of what is free'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the measurements here, too')
    args = parser.parse_args()
    if unknown := [peer for peer in args.peers if peer not in PACKAGES]:
        raise UserError(f"--peers: unknown peer '{unknown[0]}'; choose of {', '.join(PACKAGES)}")
    if uneven := [size for size in args.sizes if size < 1 or size % PATCH]:
        raise UserError(f'--sizes: {uneven[0]} is no multiple of the patch, {PATCH}')
    if min(args.batch, args.rounds, args.threads) < 1 or args.warm_up < 0:
        raise UserError('--batch, --rounds and --threads must be 1 at least, --warm-up 0')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: PyTorch finds no GPU here; leave it out')
    args.peers = ['global', 'windows'] if args.attention else args.peers
    for peer in args.peers:
        import_peer(peer)
    args.dtype = getattr(torch, args.dtype)
    if args.memory_limit is None and args.device == 'cpu':
        free = int(re.search(r'MemAvailable:\s+(\d+)', Path('/proc/meminfo').read_text())[1]) * 1024
        args.memory_limit = round(0.8 * free / GB, 1)
    return args


def check(peer: str, size: int, args: argparse.Namespace, run: Callable) -> None:
    """Ends the tool where both sides do not compute the same."""
    try:
        values, slopes = run(compare, peer, size, args)
    except MemoryError:
        print(f'{peer} at {size}: not compared, does not fit', flush=True)
        return
    print(
        f'{peer} at {size}: maps differ by {values:.1e} at most, gradients by {slopes:.1e} of the largest', flush=True
    )
    if not max(values, slopes) <= TOLERANCE:
        raise UserError(
            f'{peer} at {size} computes something else than ours: maps differ by {values:.1e}, gradients by '
            f'{slopes:.1e} '
            f'of the largest; {TOLERANCE:.0e} is allowed. Nothing was timed'
        )


def line(row: dict, args: argparse.Namespace) -> str:
    """A row of the table."""
    cells = [row['peer'], str(row['size']), row['mode']]
    for unit, digits in (('s', 3), ('GB', 2)):
        pair = [row[side].get(unit) for side in ('ours', 'theirs')]
        cells += [
            f'does not fit in {args.memory_limit:g} GB' if value is None else f'{value:.{digits}f}' for value in pair
        ]
        cells.append('' if None in pair else f'{pair[0] / pair[1]:.2f}')
    return f'| {" | ".join(cells)} |'


def main() -> None:
    """Compare numbers, then measure time and memory, and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    run = partial(in_new_process, guarded) if args.device == 'cpu' else guarded
    pairs = [(peer, size) for peer in args.peers for size in args.sizes]
    for peer, size in pairs:
        check(peer, size, args, run)
    rows = []
    for peer, size, mode in [(*pair, mode) for pair in pairs for mode in MODES]:
        row = dict(peer=peer, size=size, mode=mode, ours={}, theirs={})
        for side in ('ours', 'theirs'):
            with contextlib.suppress(MemoryError):
                weights, added = run(peak, peer, size, mode, side, args)
                row[side] = dict(weights_GB=weights / GB, step_GB=added / GB, GB=(weights + added) / GB)
        rows.append(row)
    # Only now: a process that has computed with several threads cannot be forked.
    where = torch.cuda.get_device_name() if args.device == 'cuda' else f'CPU, {args.threads} threads'
    print(
        f'\n{args.arch}, batch {args.batch}, {str(args.dtype)[6:]}, medians of {args.rounds} steps; {where}, '
        f'PyTorch {torch.__version__}\n'
    )
    print(
        '| peer | pixels | step | ours, s | peer, s | ours / peer | ours, GB | peer, GB | ours / peer |\n'
        + '|---' * 9
        + '|'
    )
    for row in rows:
        with contextlib.suppress(MemoryError):
            sides = [side for side in ('ours', 'theirs') if row[side]]
            for side, values in guarded(seconds, row['peer'], row['size'], row['mode'], sides, args).items():
                row[side].update(s=median(values), all_s=values)
        print(line(row, args), flush=True)
    if args.json:
        args.json.write_text(
            json.dumps(
                dict(
                    device=where,
                    torch=torch.__version__,
                    arch=args.arch,
                    batch=args.batch,
                    dtype=str(args.dtype)[6:],
                    rows=rows,
                ),
                indent=1,
            )
            + '\n'
        )


if __name__ == '__main__':
    launch.run_main(main)
