"""Convert the weights of an MAE or a ViT from one layout to another: official MAE, timm, mmpretrain, Hugging Face, ours
and others. The layout of SRC is recognised by the names of its weights; the suffix of DST chooses the format, .pth or
.safetensors. Values are not changed, except for their precision with --half."""

from __future__ import annotations

import argparse

EXAMPLES = (
    'mae-transfer convert mae_pretrain_vit_base.pth vit_base.safetensors --to timm',
    'mae-transfer convert work_dirs/mae vit.pth --to official --half --force',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to convert, and to what."""
    from ..vit.weights.layouts import LAYOUTS
    from ..vit.weights.peers import PEERS

    parser.add_argument('src', help='checkpoint file, or a folder with one')
    parser.add_argument('dst', help='file to write, .pth or .safetensors')
    parser.add_argument('--to', required=True, choices=[*LAYOUTS, *PEERS], help='layout to write')
    parser.add_argument(
        '--source-grid',
        nargs=2,
        type=int,
        metavar=('ROWS', 'COLUMNS'),
        help='patches that the positions of SRC are for, if they are no square and SRC does not show it',
    )
    parser.add_argument(
        '--weights-key',
        metavar='KEY',
        help='which ViT of several in SRC: keys and prefix of its weights, or a part of them, such as state_dict_ema',
    )
    parser.add_argument('--half', action='store_true', help='write float16')
    parser.add_argument('--force', action='store_true', help='overwrite DST')


def run(args: argparse.Namespace) -> None:
    """Read, rename and write the weights."""
    from ..conversion import convert, told_of

    grid = args.source_grid and tuple(args.source_grid)
    converted = convert(args.src, args.dst, args.to, args.force, args.half, grid, args.weights_key)
    print('\n'.join(told_of(converted, args.dst, args.to)))
