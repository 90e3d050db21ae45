"""Time of a transformer block in float32 and bfloat16, by the number of tokens: which one is faster, and where.

    python -m mae_transfer.benchmarks.sequence_lengths --arch base --threads 1

A step is the forward and the backward pass of one block of the ViT of MAE, or, with ``--test``, the forward pass alone.
The two types take turns; the table shows medians. Tokens of an image are as many as the batch needs for about the same
work in every row.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch

from .. import launch
from ..errors import UserError
from ..progress import progress
from ..vit.block import Block
from ..vit.sizes import SIZES, Size

_TYPES = (torch.float32, torch.bfloat16)
#: Tokens of all images of a batch together, about.
_TOKENS = 2048


def block_times(size: Size, tokens: int, rounds: int, device: str, test: bool) -> list[list[float]]:
    """Seconds of the steps of a block with ``tokens`` tokens for each image: in float32, in bfloat16."""
    block = Block(size.embed_dim, size.num_heads, size.mlp_ratio).to(device)
    x = torch.randn(max(1, _TOKENS // tokens), tokens, size.embed_dim, device=device, requires_grad=not test)
    times: list[list[float]] = [[] for _ in _TYPES]
    for number in range(rounds + 1):
        for dtype, seconds in zip(_TYPES, times):
            start = time.perf_counter()
            with (
                torch.set_grad_enabled(not test),
                torch.autocast(device, torch.bfloat16, enabled=dtype is torch.bfloat16),
            ):
                loss = block(x).float().square().mean()
            if not test:
                loss.backward()
            if device == 'cuda':
                torch.cuda.synchronize()
            if number:  # the first is a warm-up
                seconds.append(time.perf_counter() - start)
    return times


def table(rows: dict[int, list[list[float]]]) -> str:
    """Markdown: a row for each number of tokens."""
    lines = ['| tokens | float32, ms | bfloat16, ms | as fast |', '|---' * 4 + '|']
    for tokens, times in rows.items():
        full, half = (1000 * median(seconds) for seconds in times)
        lines.append(f'| {tokens} | {full:.3g} | {half:.3g} | {full / half:.2f} |')
    return '\n'.join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=SIZES, default='base', help='size of the ViT; default %(default)s')
    parser.add_argument(
        '--tokens',
        nargs='+',
        type=int,
        default=[17, 37, 50, 65, 99, 197, 257, 401, 577, 785, 1025, 2048],
        help='tokens of an image; default those of common sizes',
    )
    parser.add_argument('--rounds', type=int, default=5, help='measured steps of each type; default %(default)s')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--test', action='store_true', help='the forward pass alone')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(), help='threads on the CPU')
    args = parser.parse_args()
    if min(*args.tokens, args.rounds, args.threads) < 1:
        raise UserError('--tokens, --rounds and --threads must be 1 or more')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: PyTorch finds no GPU; choose --device cpu')
    torch.set_num_threads(args.threads)
    size = SIZES[args.arch]
    lengths = progress(args.tokens, 'lengths measured')
    print(table({tokens: block_times(size, tokens, args.rounds, args.device, args.test) for tokens in lengths}))


if __name__ == '__main__':
    launch.run_main(main)
