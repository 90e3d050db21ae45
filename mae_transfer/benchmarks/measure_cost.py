"""Compare the cost of a pre-training step between configs: FLOPs of its forward pass for one image, and its time.

    tools/measure_cost.py configs/ablations/table2_vitl_*.py --batch 4 --threads 2 --json table2.json
    tools/measure_cost.py configs/ablations/table2_vith_*.py --batch 64 --device cuda --dtype bfloat16
    tools/measure_cost.py configs/ablations/table1*.py --flops-only

FLOPs are counted by torch.utils.flop_counter on the meta device: matrix products, attention and convolutions of
encoder, decoder and target; a multiply-add counts as two, and elementwise operations do not count. A step is the
forward and the backward pass of the loss, without the optimiser step; a GPU uses TF32 where autocast leaves float32.
The configs take turns, one step each per round, in one process; the table shows medians, and ratios to the first
config. Weights are random, and shared between configs where their names and shapes are the same, so that several
configs of ViT-H fit into memory.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from mmengine.config import ConfigDict

from ..compat.package_configs import find_config
from ..experiments.flops import count_flops, with_ready_target
from ..experiments.pretraining import check_pretraining
from ..registry import MODELS
from ..settings import change_settings, read_config
from ..vit.sizes import SIZES, resolve_size
from .arguments import add_measuring_options, check_measuring_options, device_name
from .pretrain_steps import step_seconds


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line, or what is given in its place."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help='configs of pre-trainings; ratios are to the first'
    )
    parser.add_argument(
        '--arch',
        help=f'size of the ViT in all configs: {", ".join(SIZES)}, or WIDTHxDEPTHxHEADS, e.g. 128x6x4; default each '
        "config's own",
    )
    parser.add_argument('--img-size', type=int, help="side of the images in pixels; default each config's own")
    parser.add_argument('--patch-size', type=int, help="side of the patches in pixels; default each config's own")
    add_measuring_options(parser, batch=4, what='config')
    parser.add_argument('--flops-only', action='store_true', help='count FLOPs, measure no time')
    args = parser.parse_args(arguments)
    check_measuring_options(args, needs_device=not args.flops_only)
    if args.arch:
        resolve_size(args.arch)
    return args


def load_model(config: str, args: argparse.Namespace) -> ConfigDict:
    """The model of a config, with the sizes that the command line gives.

    Raises:
        UserError: the config does not exist, or its model is not an MAE.
    """
    cfg = read_config(find_config(config, 'CONFIG'))
    check_pretraining(cfg)
    changes = [(f'model.vit.{name}', getattr(args, name)) for name in ('arch', 'img_size', 'patch_size')]
    return change_settings(cfg, [(key, value) for key, value in changes if value]).model


def table(rows: list[dict]) -> str:
    """Markdown: a row for each config, with ratios to the first."""
    lines = ['| config | GFLOPs per image | ratio | seconds per step | ratio | speed |', '|---' * 6 + '|']
    first_flops, first_seconds = rows[0]['flops']['total'], rows[0].get('seconds')
    for row in rows:
        flops = row['flops']['total']
        cells = [row['config'], f'{flops / 1e9:.4g}', f'{flops / first_flops:.2f}']
        if first_seconds:
            ratio = row['seconds'] / first_seconds
            cells += [f'{row["seconds"]:.4g}', f'{ratio:.2f}', f'{1 / ratio:.2f}x']
        else:
            cells += ['', '', '']
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def run(args: argparse.Namespace) -> None:
    """Count FLOPs, measure times, and print the table."""
    torch.set_num_threads(args.threads)
    models = [load_model(config, args) for config in args.configs]
    rows: list[dict] = [
        dict(config=Path(name).stem, flops=count_flops(model)) for name, model in zip(args.configs, models)
    ]
    device = device_name('cpu' if args.flops_only else args.device, args.threads)
    if not args.flops_only:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        built = [with_ready_target(MODELS.build(model)).to(args.device).train() for model in models]
        times = step_seconds(built, args.batch, getattr(torch, args.dtype), args.rounds, args.warm_up)
        for row, seconds in zip(rows, times):
            row.update(seconds=median(seconds), all_seconds=seconds)
        print(
            f'\nbatch {args.batch}, {args.dtype}, medians of {args.rounds} steps; {device}, PyTorch {torch.__version__}'
        )
    print(f'\n{table(rows)}')
    if args.json:
        settings = dict(device=device, torch=torch.__version__, batch=args.batch, dtype=args.dtype)
        args.json.write_text(json.dumps(dict(settings, rows=rows), indent=1) + '\n')


def main() -> None:
    """The command line."""
    run(parse_args())
