#!/usr/bin/env python
"""What a pre-training step costs: FLOPs of its forward pass for one image, and wall-clock, of several configs side by
side.

    tools/measure_cost.py configs/ablations/table2_vitl_*.py --batch 4 --threads 2 --json table2.json
    tools/measure_cost.py configs/ablations/table2_vith_*.py --batch 64 --device cuda --dtype bfloat16
    tools/measure_cost.py configs/ablations/table1*.py --flops-only

FLOPs are counted by torch.utils.flop_counter on the meta device: matrix products, attention and convolutions of
encoder, decoder and target, a multiply-add as two; what is done element by element is not counted. A step is forward
and backward of the loss, without the optimiser's; a GPU gets TF32 for what is left in float32. The configs take turns,
one step each in a round, in one process; the table has medians, and ratios to the first config. Weights are random, and
shared by configs whose weights have the same names and shapes, so that several of ViT-H fit into memory.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from unittest import mock

import torch
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mae_transfer import launch
from mae_transfer.errors import UserError
from mae_transfer.pretrain import MAE, Mask
from mae_transfer.registry import MODELS
from mae_transfer.vit.sizes import SIZES


def resolve_arch(text: str) -> str | dict:
    """A ViT's size from the command line: a name of :data:`SIZES`, or EMBED x DEPTH x HEADS such as ``128x6x4``.

    Raises:
        UserError: neither.
    """
    parts = text.lower().split('x')
    if text in SIZES:
        return text
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise UserError(f'--arch {text}: give one of {", ".join(SIZES)}, or width x depth x heads, e.g. 128x6x4')
    return dict(zip(('embed_dim', 'depth', 'num_heads'), map(int, parts)))


def flops(model: dict) -> dict[str, int]:
    """Count a training step's forward pass for one image; nothing is computed, and no weights are loaded.

    Args:
        model: config of an MAE.

    Returns:
        FLOPs, a multiply-add as two, of ``encoder``, ``decoder`` and ``target``, and their sum as ``total``. They
        depend on the number of kept patches, not on which they are.
    """
    with torch.device('meta'):
        mae = unlocked(MODELS.build(model)).to('meta')  # position tables are made on the CPU
        rows, columns = mae.vit.grid
        images = torch.zeros(1, mae.vit.in_channels, rows * mae.vit.patch_size, columns * mae.vit.patch_size)
        patches = torch.zeros(1, rows * columns, dtype=torch.int64)
        kept = mae.masking.num_kept(mae.vit.grid)
        mask = Mask(patches[:, :kept], patches[:, kept:])
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            mae.predict(images, mask)
        # There is no autocast for the meta device, not even to switch it off.
        with (
            torch.no_grad(),
            mock.patch('torch.autocast', lambda *_, **__: nullcontext()),
            FlopCounterMode(display=False) as beside,
        ):
            mae.target(images, mae.vit.patch_size, mask.masked)
    decoder = sum(counter.get_flop_counts()['MAEDecoder'].values())
    target = beside.get_total_flops()
    return dict(
        encoder=counter.get_total_flops() - decoder,
        decoder=decoder,
        target=target,
        total=counter.get_total_flops() + target,
    )


def unlocked(mae: MAE) -> MAE:
    """The model, with a target that works without its fit or its weights: they make no difference to what it costs."""
    for flag in ('fitted', 'ready'):
        if hasattr(mae.target, flag):
            setattr(mae.target, flag, True)
    return mae


def share_weights(models: list[nn.Module]) -> None:
    """Make parameters of the same name and shape one, so that many models take little more memory than the largest."""
    pool: dict[tuple, nn.Parameter] = {}
    for model in models:
        for prefix, module in model.named_modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, pool.setdefault((prefix, name, parameter.shape), parameter))


def step(mae: MAE, images: Tensor, seeds: Tensor, dtype: torch.dtype) -> float:
    """Seconds of one forward and backward pass, to its end."""
    start = time.perf_counter()
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        loss = mae(images, seeds)['loss']
    loss.backward()
    mae.zero_grad()
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def seconds(models: list[MAE], args: argparse.Namespace) -> list[list[float]]:
    """The seconds of each model's measured steps; they take turns."""
    share_weights(models)
    times: list[list[float]] = [[] for _ in models]
    for round_ in range(args.warm_up + args.rounds):
        for mae, own in zip(models, times):
            torch.manual_seed(round_)
            rows, columns = (side * mae.vit.patch_size for side in mae.vit.grid)
            images = torch.randn(args.batch, mae.vit.in_channels, rows, columns, device=args.device)
            own.append(step(mae, images, torch.arange(args.batch, device=args.device), args.dtype))
    return [own[args.warm_up :] for own in times]


def load(path: Path, args: argparse.Namespace) -> dict:
    """The model of a config, in the size that the command line asks for.

    Raises:
        UserError: no such config, or one of something else than an MAE.
    """
    if not path.is_file():
        raise UserError(f'config {path} does not exist')
    model = Config.fromfile(path).model
    if model.get('type', '').rpartition('.')[2] != 'MAE':
        raise UserError(f"{path} is no pre-training: model.type is '{model.get('type')}', not 'MAE'")
    if args.arch:
        model.vit.arch = ConfigDict(args.arch) if isinstance(args.arch, dict) else args.arch
    model.vit.update({name: getattr(args, name) for name in ('img_size', 'patch_size') if getattr(args, name)})
    return model


def parse_args() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'configs', nargs='+', type=Path, metavar='CONFIG', help='pre-trainings; ratios are to the first'
    )
    parser.add_argument(
        '--arch',
        help=f'of all configs, instead of their own: {", ".join(SIZES)}, or width x depth x heads, e.g. 128x6x4',
    )
    parser.add_argument('--img-size', type=int, help='instead of their own')
    parser.add_argument('--patch-size', type=int, help='instead of their own')
    parser.add_argument('--batch', type=int, default=4, help='images a step; default 4')
    parser.add_argument('--rounds', type=int, default=5, help='measured steps of each config')
    parser.add_argument('--warm-up', type=int, default=1, help='steps of each config before them')
    parser.add_argument('--flops-only', action='store_true', help='count, measure nothing')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--dtype', choices=('float32', 'bfloat16', 'float16'), default='float32', help='of autocast; float32: without'
    )
    parser.add_argument(
        '--threads', type=int, default=torch.get_num_threads(), help="on the CPU; default PyTorch's choice"
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers here, too')
    args = parser.parse_args()
    if min(args.batch, args.rounds, args.threads) < 1 or args.warm_up < 0:
        raise UserError('--batch, --rounds and --threads must be 1 at least, --warm-up 0')
    if args.device == 'cuda' and not torch.cuda.is_available() and not args.flops_only:
        raise UserError('--device cuda: PyTorch finds no GPU here; leave it out')
    args.arch = args.arch and resolve_arch(args.arch)
    args.dtype = getattr(torch, args.dtype)
    return args


def table(rows: list[dict]) -> str:
    """Markdown: a row for each config; ratios to the first."""
    lines = ['| config | GFLOPs per image | ratio | seconds per step | ratio | as fast |', '|---' * 6 + '|']
    first = rows[0]
    for row in rows:
        cells = [
            row['config'],
            f'{row["flops"]["total"] / 1e9:.4g}',
            f'{row["flops"]["total"] / first["flops"]["total"]:.2f}',
        ]
        if 'seconds' in row:
            ratio = row['seconds'] / first['seconds']
            cells += [f'{row["seconds"]:.4g}', f'{ratio:.2f}', f'{1 / ratio:.2f}x']
        lines.append(f'| {" | ".join(cells + [""] * (6 - len(cells)))} |')
    return '\n'.join(lines)


def main() -> None:
    """Count, measure, and print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    configs = [load(path, args) for path in args.configs]
    rows = [dict(config=path.stem, flops=flops(model)) for path, model in zip(args.configs, configs)]
    where = torch.cuda.get_device_name() if args.device == 'cuda' else f'CPU, {args.threads} threads'
    if not args.flops_only:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        models = [unlocked(MODELS.build(model)).to(args.device).train() for model in configs]
        for row, times in zip(rows, seconds(models, args)):
            row.update(seconds=median(times), all_seconds=times)
        print(
            f'\nbatch {args.batch}, {str(args.dtype)[6:]}, medians of {args.rounds} steps; {where}, PyTorch '
            f'{torch.__version__}'
        )
    print(f'\n{table(rows)}')
    if args.json:
        args.json.write_text(
            json.dumps(
                dict(device=where, torch=torch.__version__, batch=args.batch, dtype=str(args.dtype)[6:], rows=rows),
                indent=1,
            )
            + '\n'
        )


if __name__ == '__main__':
    launch.run_main(main)
