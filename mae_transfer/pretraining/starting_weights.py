"""Weights that a pre-training starts from: the ViT's, and the decoder's where they fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from ..vit.position import resize_pos_embed
from ..vit.vit import ViT
from ..vit.weights.checkpoint import CheckpointError, Weights, load_vit, read_weights
from ..vit.weights.comparison import compare_states
from ..vit.weights.fitting import channel_count, channel_names, check_finite
from ..vit.weights.source_grid import find_source_grid, format_shape
from .target import PixelTarget, Target


def load_mae(
    vit: ViT,
    decoder: nn.Module,
    target: Target,
    source: str | Path | Mapping,
    source_grid: tuple[int, int] | None = None,
    weights_key: str | None = None,
) -> str:
    """Load a ViT of any known layout into an MAE's, with the decoder if that fits; or raise and change nothing.

    The decoder's last layer, ``pred``, is loaded if both it and the MAE's predict pixels of patches of one size. For
    another number of channels each channel starts as the mean of those of the checkpoint: for images whose channels
    are all equal, the prediction stays the same. Otherwise ``pred`` stays random, and so does the whole decoder if it
    is of another width or depth.

    Args:
        vit, decoder, target: the parts of the MAE.
        source, source_grid, weights_key: as for :func:`~mae_transfer.vit.weights.checkpoint.load_vit`.

    Returns:
        What became of the decoder, which is also logged: as a warning, unless all of it was loaded as it is.

    Raises:
        CheckpointError: as raised by ``load_vit``; positions of an unknown grid, or values that are not finite, in the
            decoder.
    """
    weights = read_weights(source, weights_key)
    try:
        fitted, changes = _fit_decoder(vit, decoder, target, weights, source_grid)
    except CheckpointError as error:
        raise CheckpointError(f'{weights.source}: decoder: {error}') from error
    load_vit(vit, replace(weights, decoder=None), source_grid=source_grid)
    state = decoder.state_dict()
    with torch.no_grad():
        for name, value in fitted.items():
            state[name].copy_(value)  # state_dict shares the parameters' memory
    lines = [f'decoder: loaded {len(fitted)} of {len(state)} weights from {weights.source}', *changes]
    print_log('\n  '.join(lines), logger='current', level=logging.WARNING if changes else logging.INFO)
    return '\n  '.join(lines)


def _fit_decoder(
    vit: ViT, decoder: nn.Module, target: Target, weights: Weights, source_grid: tuple[int, int] | None
) -> tuple[dict[str, Tensor], list[str]]:
    """The weights of the decoder to load, in the model's shapes, and all that differs from loading it as it is."""
    if not weights.decoder:
        return {}, ['starts from random weights: the checkpoint has no decoder']
    for name, value in weights.decoder.items():
        check_finite(name, value)
    wanted, changes = decoder.state_dict(), []
    fitted = {name: value for name, value in weights.decoder.items() if not name.startswith('pred.')}
    positions = fitted.get('pos_embed')
    if positions is not None and positions.ndim == 3:
        grid = find_source_grid(positions[0, 1:], weights.grid, source_grid, vit.grid)
        if grid.grid != vit.grid:
            fitted['pos_embed'] = resize_pos_embed(positions.float(), grid.grid, vit.grid)
            changes.append(f'positions: of {grid}, resized to {format_shape(vit.grid)}')
    missing, unexpected, reshaped = compare_states(fitted, wanted)
    misfits = [name for name in (*reshaped, *missing, *unexpected) if not name.startswith(('pred.', 'mask_token'))]
    if misfits:
        there, here = (
            format_shape(state[misfits[0]].shape) if misfits[0] in state else 'not there' for state in (fitted, wanted)
        )
        return {}, [
            f"starts from random weights: the checkpoint's is of another size: {misfits[0]} is {there} in the "
            f'checkpoint, {here} in the model ({len(misfits)} such weights)'
        ]
    # An MAE whose encoder gets the mask tokens has none in its decoder.
    changes += [f'{name}: not in the checkpoint, left as it was' for name in missing if name == 'mask_token']
    changes += [f'{name}: in the checkpoint, not used' for name in unexpected if name == 'mask_token']
    prediction, change = _fit_prediction(vit, target, weights, wanted)
    changes += [f'pred: {change}'] if change else []
    fitted.update(prediction)
    return {name: value for name, value in fitted.items() if name in wanted}, changes


def _fit_prediction(
    vit: ViT, target: Target, weights: Weights, decoder: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], str | None]:
    """The weights of the decoder's last layer, and what was done to them; none, and why, if they do not fit."""
    found, wanted = (
        {name: value for name, value in state.items() if name.startswith('pred.')}
        for state in (weights.decoder or {}, decoder)
    )
    embedding = weights.encoder.get('patch_embed.proj.weight')
    old, new, patch = None, vit.in_channels, vit.patch_size
    if embedding is not None and embedding.ndim == 4 and embedding.shape[2:] == (patch, patch):
        old = embedding.shape[1]
    # Whatever a file's target stored beside the model (a PCA basis, a tokenizer) is what its decoder predicts.
    other_target = next((name for name in weights.other if name.startswith('target.')), None)
    if not isinstance(target, PixelTarget) or other_target:
        reason = f"the checkpoint has '{other_target}'" if other_target else f'the model has a {type(target).__name__}'
        return {}, f'starts from random weights: only a prediction of pixels is taken over, and {reason}'
    fitted = found
    if old is not None and old != new and all(len(value) == patch**2 * old for value in found.values()):
        # The rows of the layer run over the pixels, and the channels of each (vit/patches.py: flatten_patches).
        fitted = {name: _repeat_mean(value.unflatten(0, (patch**2, old)), new) for name, value in found.items()}
    if old is None or any(compare_states(fitted, wanted)):
        sizes = [
            format_shape(state['pred.weight'].shape) if 'pred.weight' in state else 'not there'
            for state in (found, wanted)
        ]
        return {}, f'starts from random weights: it is {sizes[0]} in the checkpoint, {sizes[1]} in the model'
    if fitted is found:
        return found, None
    return fitted, f'inflated from {old} to {channel_count(new)} (each predicts the mean over {channel_names(old)})'


def _repeat_mean(rows: Tensor, channels: int) -> Tensor:
    """Rows (pixels, C, ...) of a linear layer to (pixels * ``channels``, ...): the mean over C for each channel."""
    return rows.double().mean(1, keepdim=True).repeat_interleave(channels, 1).flatten(0, 1).to(rows.dtype)
