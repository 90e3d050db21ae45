#!/usr/bin/env -S sh -c 'exec "$(dirname "$(readlink -f "$0")")/python" "$0" "$@"'
"""Convert the weights of an MAE or a ViT from one layout to another.

    tools/convert_checkpoint.py mae_pretrain_vit_base.pth vit_base.safetensors --to timm

The layout of SRC is recognised by the names of its weights: official MAE, timm, mmpretrain, Hugging Face ViTMAE, ours.
The suffix of DST chooses the format: .pth is written by torch.save, under the key that readers of that layout expect;
.safetensors is flat. The names of weights that the layout has no place for are printed. Values are not changed, except
for their precision with --half.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from mae_transfer import launch
from mae_transfer.errors import CheckpointError, UserError
from mae_transfer.outputs import output_file
from mae_transfer.paths import user_path
from mae_transfer.vit.checkpoint import Weights, read_weights
from mae_transfer.vit.layouts import LAYOUTS, from_canonical

#: The key under which each layout's .pth files keep the weights; None for a bare dictionary.
WRAPPERS = dict(official='model', timm=None, mmpretrain='state_dict', hf=None, mae_transfer='state_dict')
SUFFIXES = ('.pth', '.safetensors')


def check_destination(dst: str, force: bool = False) -> Path:
    """Check the path of the file to write, and create the folders above it.

    Args:
        force: whether the file may exist already.

    Raises:
        UserError: the path is a folder, its suffix is not one of :data:`SUFFIXES`, or the file exists.
    """
    path = user_path(dst, 'DST')
    if path.suffix not in SUFFIXES and not path.is_dir():
        found = f"ends in '{path.suffix}'" if path.suffix else 'has no suffix'
        raise UserError(f"DST '{dst}' {found}: choose one of {', '.join(SUFFIXES)}, e.g. {path.with_suffix('.pth')}")
    if path.is_file() and not force:
        raise UserError(f"DST '{dst}' exists: choose another name, or give --force")
    return output_file(path, 'DST')


def convert(
    src: str, dst: str, layout: str, force: bool = False, half: bool = False
) -> tuple[Weights, dict, list[str]]:
    """Read ``src`` and write ``dst``.

    Args:
        layout: a key of :data:`~mae_transfer.vit.layouts.LAYOUTS`.
        force: whether ``dst`` may exist already.
        half: write float16, which halves the file.

    Returns:
        The weights that were read; the weights that were written, as a flat dictionary; the names of the weights that
        were left out.

    Raises:
        UserError: as :func:`check_destination`; ``src`` cannot be read, has no ViT, or has an encoder or decoder weight
            that the layout has no place for.
    """
    target = check_destination(dst, force)
    weights = read_weights(src)
    if not any(name.startswith('blocks.') for name in weights.encoder):
        raise CheckpointError(f'{weights.source} has no block of a ViT; found {", ".join(list(weights.encoder)[:4])}')
    parts = LAYOUTS[layout]
    decoder = weights.decoder if 'decoder' in parts else None
    head, dropped = {}, list(weights.other)
    for name, value in weights.head.items():
        if name.rpartition('.')[0] in parts['head'].modules:
            head[name] = value
        else:
            dropped.append(name)
    if weights.decoder and decoder is None:
        dropped += [f'decoder.{name}' for name in weights.decoder]
    # Copy each weight: torch.save would write the whole of a fused matrix for each slice of it.
    state = {
        name: value.detach().clone().contiguous()
        for name, value in from_canonical(weights.encoder, decoder, layout, head).items()
    }
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    partial = target.with_name(f'.{target.name}.part')  # an interrupted run must not leave an incomplete DST
    if target.suffix == '.safetensors':
        save_file(state, partial, metadata=dict(format='pt'))  # transformers requires this entry
    else:
        wrapper = WRAPPERS[layout]
        torch.save({wrapper: state} if wrapper else state, partial)
    partial.replace(target)
    return weights, state, dropped


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='checkpoint file, or a work_dir of MMEngine')
    parser.add_argument('dst', help='file to write, .pth or .safetensors')
    parser.add_argument('--to', required=True, choices=list(LAYOUTS), help='layout to write')
    parser.add_argument('--half', action='store_true', help='write float16')
    parser.add_argument('--force', action='store_true', help='overwrite DST')
    return parser.parse_args()


def main() -> None:
    """Read, rename and write the weights."""
    args = parse_args()
    weights, state, dropped = convert(args.src, args.dst, args.to, args.force, args.half)
    parts = [f'encoder ({len(weights.encoder)})']
    if weights.decoder and 'decoder' in LAYOUTS[args.to]:
        parts.append(f'decoder ({len(weights.decoder)})')
    print(f'{weights.source}: layout {weights.layout}')
    print(
        f'converted to {args.to}: {", ".join(parts)}; {len(state)} tensors, '
        f'{sum(value.numel() for value in state.values()):,} numbers in {args.dst}'
    )
    print(f'dropped ({len(dropped)}): {", ".join(dropped)}' if dropped else 'dropped: nothing')


if __name__ == '__main__':
    launch.run_main(main)
