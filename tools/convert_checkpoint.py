#!/usr/bin/env python
"""Carry the weights of an MAE or a ViT from any known layout to another.

    python tools/convert_checkpoint.py mae_pretrain_vit_base.pth vit_base.safetensors --to timm

The layout of SRC is recognised by its names: official MAE, timm, mmpretrain, Hugging Face ViTMAE, ours. The suffix of
DST says how it is written: .pth by torch.save, wrapped as that layout's readers expect; .safetensors flat. What is not
carried over is named; weights are never changed, but for their precision with --half.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from mae_transfer.launch import run_main
from mae_transfer.vit.checkpoint import CheckpointError, Weights, read_weights
from mae_transfer.vit.layouts import LAYOUTS, from_canonical

#: The key under which each layout's .pth files keep the weights; None for a bare dictionary.
WRAPPERS = dict(official='model', timm=None, mmpretrain='state_dict', hf=None, mae_transfer='state_dict')
SUFFIXES = ('.pth', '.safetensors')


def convert(
    src: str, dst: str, layout: str, force: bool = False, half: bool = False
) -> tuple[Weights, dict, list[str]]:
    """Read ``src``, write ``dst``; with ``half`` in float16, which halves the file.

    Returns:
        What was read; what was written, flat; the names of what was not carried over.

    Raises:
        CheckpointError: unreadable, no ViT in it, no place for a weight; ``dst`` exists or has another suffix.
    """
    target = Path(dst)
    if target.suffix not in SUFFIXES:
        raise CheckpointError(f"'{dst}' ends in '{target.suffix}': choose one of {', '.join(SUFFIXES)}")
    if target.exists() and not force:
        raise CheckpointError(f"'{dst}' exists: choose another name, or give --force")
    weights = read_weights(src)
    if not any(name.startswith('blocks.') for name in weights.encoder):
        raise CheckpointError(
            f'{weights.source}: no block of a ViT in it; found {", ".join(list(weights.encoder)[:4])}'
        )
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
    # Own memory for each: slices of a fused matrix must not drag the whole matrix into the file.
    state = {
        name: value.detach().clone().contiguous()
        for name, value in from_canonical(weights.encoder, decoder, layout, head).items()
    }
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f'.{target.name}.part')  # so that an interrupted run leaves no half file under the name
    if target.suffix == '.safetensors':
        save_file(state, partial, metadata=dict(format='pt'))  # transformers asks for this entry
    else:
        wrapper = WRAPPERS[layout]
        torch.save({wrapper: state} if wrapper else state, partial)
    partial.replace(target)
    return weights, state, dropped


def parse_args() -> argparse.Namespace:
    """The command line."""
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
    run_main(main)
