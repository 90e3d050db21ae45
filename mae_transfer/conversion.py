"""Weights of an MAE or a ViT, written in the layout of another project: tools/convert_checkpoint.py does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file

from .errors import CheckpointError, UserError
from .outputs import output_file
from .paths import user_path
from .progress import progress
from .vit.weights.checkpoint import Weights, read_weights
from .vit.weights.head import has_head_norm, why_no_head
from .vit.weights.layouts import LAYOUTS, from_canonical
from .vit.weights.source_grid import STATED, SourceGrid, add_class_row, find_source_grid, patch_positions

#: The key under which each layout's .pth files keep the weights; all others are a bare dictionary.
WRAPPERS = dict(official='model', mmpretrain='state_dict', mae_transfer='state_dict', timm_beit='model')
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


class Converted(NamedTuple):
    """What was read and written.

    Attributes:
        weights: what was read.
        state: what was written, as a flat dictionary.
        dropped: the names of the weights that were left out.
        notes: what a user of DST should know.
    """

    weights: Weights
    state: dict
    dropped: list[str]
    notes: list[str]


def convert(
    src: str,
    dst: str,
    layout: str,
    force: bool = False,
    half: bool = False,
    source_grid: tuple[int, int] | None = None,
    weights_key: str | None = None,
) -> Converted:
    """Read ``src`` and write ``dst``.

    A head stays the same classifier: the batch norm of a linear probe is folded into it, and where the models of the
    layout would make another classifier of it, it is left out.

    Args:
        layout: a key of :data:`~mae_transfer.vit.weights.layouts.LAYOUTS` or
            :data:`~mae_transfer.vit.weights.peers.PEERS`.
        force: whether ``dst`` may exist already.
        half: write float16, which halves the file.
        source_grid: (rows, columns) of the positions, where ``src`` does not show it.
        weights_key: which ViT of several (:func:`~mae_transfer.vit.weights.checkpoint.read_weights`).

    Raises:
        UserError: as :func:`check_destination`; ``src`` cannot be read, has no ViT, or has an encoder or decoder weight
            that the layout has no place for; ``source_grid`` is not that of ``src``.
    """
    target = check_destination(dst, force)
    weights = read_weights(src, weights_key)
    if not any(name.startswith('blocks.') for name in weights.encoder):
        raise CheckpointError(f'{weights.source} has no block of a ViT; found {", ".join(list(weights.encoder)[:4])}')
    decoder = weights.decoder if layout in LAYOUTS and 'decoder' in LAYOUTS[layout].parts else None
    head, dropped, notes = weights.head, list(weights.other), list(weights.notes)
    weights.encoder, changed_rows = add_class_row(weights.encoder, source_grid, weights.grid and weights.grid.grid)
    notes += [changed_rows] if changed_rows else []
    if reason := why_no_head(head, layout):
        notes.append(f'head left out, it would be another classifier: {reason}')
        dropped += head
        head = {}
    elif has_head_norm(head) and layout != 'mae_transfer':
        notes.append("head: the linear probe's batch norm is folded into it, which leaves the classifier the same")
    if layout in ('hf', 'hf_beit'):
        notes.append("set layer_norm_eps=1e-6 in transformers' config, which has 1e-12 by default")
    if layout == 'hf' and not any(name.startswith('norm.') for name in weights.encoder):
        notes.append('the ViT has no final norm: transformers adds one (vit.layernorm), without weights from here')
    if weights.decoder and decoder is None:
        dropped += [f'decoder.{name}' for name in weights.decoder]
    grid = _grid_to_state(weights, source_grid)
    # Copy each weight: torch.save would write the whole of a fused matrix for each slice of it.
    named = from_canonical(weights.encoder, decoder, layout, head)
    state = {
        name: value.detach().clone().contiguous()
        for name, value in progress(named.items(), 'weights converted', len(named))
    }
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    partial = target.with_name(f'.{target.name}.part')  # an interrupted run must not leave an incomplete DST
    if target.suffix == '.safetensors':
        save_file(state, partial, metadata=dict(format='pt'))  # transformers requires this entry
    else:
        wrapper = WRAPPERS.get(layout)
        stated = dict(meta={STATED: grid.grid}) if grid else {}
        torch.save({wrapper: state, **stated} if wrapper else state, partial)
    partial.replace(target)
    if grid and (target.suffix == '.safetensors' or not WRAPPERS.get(layout)):
        rows, columns = grid.grid
        notes.append(f'positions: of {grid}; DST cannot say so: load it with source_grid=({rows}, {columns})')
    elif grid:
        notes.append(f'positions: of {grid}; stated in DST')
    return Converted(weights, state, dropped, notes)


def _grid_to_state(weights: Weights, source_grid: tuple[int, int] | None) -> SourceGrid | None:
    """The grid of the positions, where the numbers in DST would not show it: no square, no sin-cos table."""
    patches = patch_positions(weights.encoder)
    if patches is None:
        return None
    try:
        grid = find_source_grid(patches, weights.grid, source_grid)
    except CheckpointError as error:
        if source_grid is None:
            return None
        raise CheckpointError(f'{weights.source}: {error}') from error
    rows, columns = grid.grid
    return None if rows == columns or grid.is_table else grid


def told_of(converted: Converted, dst: str, layout: str) -> Iterator[str]:
    """The lines that tell of a conversion."""
    weights, state, dropped, notes = converted
    parts = [f'encoder ({len(weights.encoder)})']
    if weights.decoder and layout in LAYOUTS and 'decoder' in LAYOUTS[layout].parts:
        parts.append(f'decoder ({len(weights.decoder)})')
    yield f'{weights.source}: layout {weights.layout}'
    numbers = sum(value.numel() for value in state.values())
    yield f'converted to {layout}: {", ".join(parts)}; {len(state)} tensors, {numbers:,} numbers in {dst}'
    yield f'dropped ({len(dropped)}): {", ".join(dropped)}' if dropped else 'dropped: nothing'
    yield from notes
