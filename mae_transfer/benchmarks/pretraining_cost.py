"""What a pre-training step costs, side by side: MAE, MoCo v3, BEiT and supervised training, per image and in all.

    python -m mae_transfer.benchmarks.pretraining_cost configs/mae_pretrain_vitl.py configs/mocov3_pretrain_vitl.py \\
        configs/beit_pretrain_vitl.py configs/in1k_scratch_vitl.py --batch 4

A step is the forward and the backward pass of the loss on random images, for MoCo v3 with the move of its averages, for
BEiT with the tokenizer; without the optimiser's step and without reading images. The configs take turns, one step each
per round, in one process; the table shows medians, ratios to the first config, and the ratio over the whole length of
each config, which is its `max_epochs`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import torch
from torch import nn

from .. import launch
from ..compat.package_configs import find_config
from ..errors import UserError
from ..pretraining.masked_model import MaskedModel
from ..registry import MODELS
from ..settings import read_config
from .pretrain_steps import step_seconds


def table(names: list[str], times: list[list[float]], epochs: list[int], batch: int) -> str:
    """Markdown: a row for each config."""
    lines = ['| config | ms per image | ratio | epochs | ratio of the whole |', '|---' * 5 + '|']
    first, first_epochs = median(times[0]), epochs[0]
    for name, seconds, length in zip(names, times, epochs):
        ratio = median(seconds) / first
        cells = [name, f'{1000 * median(seconds) / batch:.4g}', f'{ratio:.2f}', str(length)]
        lines.append(f'| {" | ".join([*cells, f"{ratio * length / first_epochs:.2f}"])} |')
    return '\n'.join(lines)


def build(config: str, options: list[str]) -> tuple[nn.Module, int]:
    """The model of a config, ready for a step, and the config's number of epochs."""
    cfg = read_config(find_config(config), options)
    model = MODELS.build(cfg.model)
    if isinstance(model, MaskedModel):
        model.target.ready = True  # a target that was not fitted costs the same
    return model.train(), cfg.train_cfg.max_epochs


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='ratios are to the first')
    parser.add_argument('--batch', type=int, default=4, help='images per step; default %(default)s')
    parser.add_argument('--rounds', type=int, default=5, help='measured steps of each config; default %(default)s')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32', help='precision of autocast')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='settings of all configs')
    args = parser.parse_args()
    if min(args.batch - 1, args.rounds) < 1:
        raise UserError('--batch must be 2 or more, --rounds 1 or more')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device cuda: PyTorch finds no GPU; choose --device cpu')
    built = [build(config, args.cfg_options) for config in args.configs]
    models = [model.to(args.device) for model, _ in built]
    times = step_seconds(models, args.batch, getattr(torch, args.dtype), args.rounds)
    names = [Path(config).stem for config in args.configs]
    print(table(names, times, [epochs for _, epochs in built], args.batch))


if __name__ == '__main__':
    launch.run_main(main)
