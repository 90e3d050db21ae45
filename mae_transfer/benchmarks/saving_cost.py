"""What writing a checkpoint costs a training: in the foreground, and in the background.

    python -m mae_transfer.benchmarks.saving_cost --arch base --batch 4

A MAE with AdamW trains on random images, one run for each way; in the middle of each round of steps a checkpoint is
written, with weights and moments. The ways take turns. What a round takes longer than one without a checkpoint is the
cost of saving; the table shows its median, and its share of a run that writes one every 15 minutes, as by default.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import nn

from ..pretraining import MAE
from ..progress import progress
from ..registry import MODELS
from ..runs.saving import BackgroundWriter, on_cpu, write_checkpoint

_DEFAULT_MINUTES = 15


def build_mae(arch: str) -> MAE:
    """A MAE of an architecture, with the decoder of the paper."""
    return MODELS.build(
        dict(
            type='MAE',
            data_preprocessor=dict(type='PhotoPreprocessor'),
            vit=dict(type='ViT', arch=arch),
            masking=dict(type='RandomMasking', ratio=0.75),
            decoder=dict(type='MAEDecoder'),
            target=dict(type='NormalizedPixelTarget'),
        )
    )


def save(way: str, checkpoint: Callable[[], dict], path: Path, writer: BackgroundWriter) -> None:
    """Write a checkpoint; ``way`` is 'none', 'foreground' or 'background'."""
    if way == 'none':
        return
    state = checkpoint()
    if way == 'background':
        state = on_cpu(state, copy=True)
    writer.start(partial(write_checkpoint, state, path))
    if way == 'foreground':
        writer.wait()


def rounds_of(model: nn.Module, batch: int, steps: int, rounds: int, path: Path) -> dict[str, list[float]]:
    """{way: seconds of each round}, of so many steps each; the ways take turns."""
    optimizer, device = torch.optim.AdamW(model.parameters(), lr=1e-5), next(model.parameters()).device
    images, seeds = torch.randn(batch, 3, 224, 224, device=device), torch.arange(batch, device=device)
    found: dict[str, list[float]] = {way: [] for way in ('none', 'foreground', 'background')}

    def step() -> None:
        optimizer.zero_grad()
        model(images, seeds)['loss'].backward()
        optimizer.step()

    step()
    for _ in progress(range(rounds), 'rounds measured'):
        for way, seconds in found.items():
            writer, began = BackgroundWriter(), time.monotonic()
            for number in range(steps):
                step()
                if number == 0:
                    save(way, lambda: dict(model=model.state_dict(), optimizer=optimizer.state_dict()), path, writer)
            if images.is_cuda:
                torch.cuda.synchronize()
            seconds.append(time.monotonic() - began)
            writer.wait()
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', default='base', help='of the ViT; default %(default)s')
    parser.add_argument('--batch', type=int, default=4, help='images; default %(default)s')
    parser.add_argument('--steps', type=int, default=8, help='of a round; default %(default)s')
    parser.add_argument('--rounds', type=int, default=5, help='default %(default)s')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu', help='default %(default)s')
    parser.add_argument('--folder', type=Path, help="where the checkpoint is written; default the system's for files")
    args = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder, 'iter_1.pth')
        found = rounds_of(build_mae(args.arch).to(args.device), args.batch, args.steps, args.rounds, path)
        megabytes = path.stat().st_size / 2**20
    alone = median(found['none'])
    print(f'{args.arch}, a checkpoint of {megabytes:.0f} MB; a step takes {alone / args.steps:.2f} s')
    print(
        f'| writing | seconds for a checkpoint | share of a run, one every {_DEFAULT_MINUTES} minutes |\n|---|---|---|'
    )
    for way in ('foreground', 'background'):
        cost = median(found[way]) - alone
        print(f'| in the {way} | {cost:.2f} | {cost / (60 * _DEFAULT_MINUTES + cost):.2%} |')


if __name__ == '__main__':
    main()
