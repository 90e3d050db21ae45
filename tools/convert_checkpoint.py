#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Convert the weights of an MAE or a ViT from one layout to another.

    tools/convert_checkpoint.py mae_pretrain_vit_base.pth vit_base.safetensors --to timm

The layout of SRC is recognised by the names of its weights, below any keys and prefix: official MAE, timm, mmpretrain,
Hugging Face ViTMAE, ours, and other ViTs (mae_transfer/vit/weights/peers/). Of several ViTs in SRC (teacher and
student, an average), --weights-key takes another.
The suffix of DST chooses the format: .pth is written by torch.save, under the key that readers of that layout expect;
.safetensors is flat. The names of weights that the layout has no place for are printed. Values are not changed, except
for their precision with --half, and the head of a linear probe, into which its batch norm is folded.
"""

import argparse

from mae_transfer import launch
from mae_transfer.command import convert


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    convert.add_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Read, rename and write the weights."""
    convert.run(parse_args())


if __name__ == '__main__':
    launch.run_main(main)
