#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Before a training: which splits of its batch fit into the GPUs' memory, how long it takes, and the command line.

    tools/plan.py configs/mae_pretrain_vitb.py --gpus 4 --gpu-memory 24 --images 1281167 --tflops 165
    tools/plan.py configs/mae_pretrain_vitl.py --gpus 8 --gpu-memory 80 --images 1281167 --tflops 989 --share .4
    tools/plan.py configs/ade20k_upernet_vitb.py --gpus 2 --gpu-memory 24 --images-per-second 30

Needs no GPU and no data. Nothing is measured: the memory is that of all tensors of a training step, which is run on
fake tensors (mae_transfer/planning/expected_memory.py says what is not counted; the margin is for that); the time is
the step's FLOPs at a share of a matrix rate that you state, or follows from images per second that you measured. Of
detectors the activations of backbone and pyramid count, and not those of the heads.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from mmengine.config import Config

from mae_transfer import launch
from mae_transfer.compat.package_configs import find_config
from mae_transfer.errors import UserError
from mae_transfer.outputs import output_file
from mae_transfer.planning.device_memory import GB
from mae_transfer.planning.fake_step import image_flops
from mae_transfer.planning.fitting import MARGIN, checkpointed
from mae_transfer.planning.losses import leaves_out_heads
from mae_transfer.planning.training_plan import Split, command, days, missing, recommended, splits, steps_of
from mae_transfer.settings import read_config


def parse_args() -> argparse.Namespace:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    parser.add_argument('--cfg-options', nargs='+', action='extend', default=[], metavar='KEY=VALUE', help='settings')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write the plan to FILE')
    args = parser.parse_args()
    for name, least in (('gpus', 1), ('images', 1)):
        if (value := getattr(args, name)) is not None and value < least:
            raise UserError(f'--{name} is {least} or more; found {value}')
    for name in ('gpu_memory', 'images_per_second', 'tflops', 'share'):
        if (value := getattr(args, name)) is not None and not value > 0:
            raise UserError(f'--{name.replace("_", "-")} is above 0; found {value:g}')
    if not (0 <= args.margin < 1 and args.share <= 1):
        raise UserError('--margin is a share from 0 to below 1, --share one from above 0 to 1')
    if args.json:
        args.json = output_file(args.json, '--json')
    return args


def table(found: list[Split], usable: float, best: Split | None) -> str:
    """Markdown: a row for each split."""
    lines = ['| images a GPU | accumulated | checkpointing | expected peak, GB | fits |', '|---' * 5 + '|']
    for split in found:
        fits = 'recommended' if split == best else 'yes' if split.peak <= usable else ''
        checkpointing = 'yes' if split.checkpointing else ''
        lines.append(f'| {split.batch} | {split.accumulation} | {checkpointing} | {split.peak / GB:.2f} | {fits} |')
    return '\n'.join(lines)


def main() -> None:
    """Print the plan."""
    args = parse_args()
    cfg = read_config(find_config(args.config), args.cfg_options)
    if not cfg.get('train_dataloader') or not cfg.get('optim_wrapper'):
        raise UserError(f'{args.config} does not train: name a config that does')
    found, usable, total = splits(cfg, args.gpus), (1 - args.margin) * args.gpu_memory * GB, cfg.total_batch_size
    best = recommended(found, usable)
    print(f'\ntotal batch {total} on {args.gpus} x {args.gpu_memory:g} GB, of which {args.margin:.0%} stay free\n')
    print(table(found, usable, best))
    if leaves_out_heads(cfg):
        print("\nan estimate: backbone and pyramid count, the activations of the detector's heads do not")
    plan = dict(config=args.config, gpus=args.gpus, gpu_memory_GB=args.gpu_memory, margin=args.margin, total=total)
    plan.update(splits=[asdict(split) for split in found], recommended=best and asdict(best), steps=None)
    if best is None:
        print(f'\n{missing(found, usable)}')
    else:
        plan.update(expect_time(args, cfg, best))
        plan['command'] = command(args.config, args.cfg_options, args.gpus, cfg, best)
        print(f'\n{plan["command"]}')
    if args.json:
        args.json.write_text(json.dumps(plan, indent=1) + '\n')


def expect_time(args: argparse.Namespace, cfg: Config, best: Split) -> dict:
    """Steps, images per second and days, as far as they follow from what is known; printed too."""
    flops = image_flops(checkpointed(cfg, best.checkpointing))
    steps = steps_of(cfg, args.images)
    of_steps = (
        'give --images for steps and days' if steps is None else f'{steps} steps of {cfg.total_batch_size} images'
    )
    print(f'\n{flops / 1e9:.4g} GFLOPs an image, forward and backward; {of_steps}')
    found: dict = dict(flops_of_image=flops, steps=steps)
    if args.images_per_second:
        rate, reason = args.images_per_second, 'as stated'
    elif args.tflops:
        rate = args.gpus * args.share * args.tflops * 1e12 / flops
        reason = f'assuming {args.share:.0%} of {args.tflops:g} TFLOP/s on each GPU; not measured'
    else:
        print('for the time, give --tflops, the matrix rate of a GPU, or --images-per-second')
        return found
    found.update(images_per_second=rate, assumption=reason)
    line = f'{rate:.0f} images/s ({reason})'
    if steps is not None:
        found['days'] = days(steps, cfg.total_batch_size, rate)
        line += f': {found["days"]:.2f} days, without evaluation'
    print(line)
    return found


if __name__ == '__main__':
    launch.run_main(main)
