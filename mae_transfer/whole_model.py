"""Checkpoints of a whole model, heads and all: do they belong to the model and to its classes?"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from torch import nn

from .data.files.bands import channel_values, resolve_bands
from .errors import UserError, shorten
from .vit.vit import ViT
from .vit.weights.checkpoint import read_checkpoint
from .vit.weights.comparison import compare_states
from .vit.weights.source_grid import format_shape, known_grid, stated_grid
from .vit.weights.stated_config import stated_setting


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, without what distributes its training or averages its predictions."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.get_submodule('module')
    return model


def check_whole_model(model: nn.Module, checkpoint: dict, filename: str, complete: bool) -> dict:
    """Compare a checkpoint of a whole model (detector, segmentor, MAE) with the model.

    Returns:
        Its state dict.

    Raises:
        UserError: parameters without a value in the file or of another shape: any, when ``complete``; otherwise all, or
            some of a ViT's blocks, as when it is of another size. Blocks in the file that the model does not have.
            Positions for as many patches in another grid; another number of image channels.
    """
    state = checkpoint.get('state_dict', checkpoint)
    if not isinstance(state, Mapping):
        raise UserError(f"{filename} has no dictionary of weights as 'state_dict', but {state!r}")
    state = {key.removeprefix('module.'): value for key, value in state.items() if isinstance(value, torch.Tensor)}
    wanted = model.state_dict()
    missing, unexpected, reshaped = compare_states(state, wanted)
    advice = 'use the config that it was trained with'
    if blocks := [name for name in unexpected if _is_block(name) and len(missing) < len(wanted)]:
        raise UserError(
            f'{filename} is of another model: {blocks[0]} has no place here ({len(blocks)} such tensors); {advice}'
        )
    for name in reshaped:
        there, here = state[name].shape, wanted[name].shape
        if name.endswith('patch_embed.proj.weight') and there[1:2] != here[1:2] and there[:1] == here[:1]:
            own = 'set the bands that it was trained with, or, to train, ' if complete else ''
            raise UserError(
                f'{filename} takes {there[1]} image channels, the model {here[1]}: {own}start from its ViT alone, '
                f'which can be inflated, by --cfg-options pretrained={filename}'
            )
    if reshaped and (complete or any(map(_is_block, reshaped))):
        name = next(filter(_is_block, reshaped), reshaped[0])
        raise UserError(
            f'{filename} is of another model: {name} is {tuple(state[name].shape)} there and '
            f'{tuple(wanted[name].shape)} here ({len(reshaped)} such tensors); {advice}'
        )
    if missing and (complete or len(missing) + len(reshaped) == len(wanted) or any(map(_is_block, missing))):
        name = next(filter(_is_block, missing), missing[0])
        raise UserError(
            f'{filename} is of another model: {len(missing)} of {len(wanted)} tensors are not in it, e.g. {name} '
            f'(it has e.g. {next(iter(state), "none")}); {advice}'
        )
    _check_grids(model, checkpoint, state, filename)
    if missing or reshaped:
        print_log(
            f'{filename}: {len(wanted) - len(missing) - len(reshaped)} of {len(wanted)} tensors fit; not loaded: '
            f'{shorten(missing + reshaped)}',
            logger='current',
            level=logging.WARNING,
        )
    return state


def _check_grids(model: nn.Module, checkpoint: dict, state: dict, filename: str) -> None:
    """Refuse positions for another grid of as many patches as the model's, such as 8 x 32 for 16 x 16."""
    for name, module in model.named_modules():
        table = state.get(f'{name}.pos_embed')
        if not isinstance(module, ViT) or module.pos_embed is None or table is None:
            continue
        if table.shape != module.pos_embed.shape:
            continue
        patches = table[0, module.num_prefix :]
        found = known_grid(patches, stated_grid(checkpoint.get('meta')))
        if found and found.grid != module.grid:
            raise UserError(
                f'{filename} is of another model: its positions are for {found}, here for '
                f'{format_shape(module.grid)}; use the image size that it was trained with'
            )


def compare_bands(checkpoint: dict, filename: str, settings: Mapping) -> None:
    """Warn where a checkpoint's run saw other bands, or normalised them in another way, than the config says.

    That changes what a model sees, but not its shapes, so that nothing else would show it.

    Args:
        settings: the config; ``bands``, ``mean`` and ``std`` of it are compared.
    """
    differences = []
    for name in ('bands', 'mean', 'std'):
        stated = stated_setting(checkpoint.get('meta'), name)
        there, here = (_in_one_form(name, value) for value in (stated, settings.get(name)))
        if there is not None and here is not None and there != here:
            differences.append(f'{name}={there} (here {here})')
    if differences:
        print_log(
            f'{filename} was trained with {", ".join(differences)}: the model now sees other values, unless the '
            'files differ in the same way',
            logger='current',
            level=logging.WARNING,
        )


def _in_one_form(name: str, value: Any) -> Any:
    """A setting of bands, or of their statistics, in the one form that all spellings of it have."""
    try:
        return resolve_bands(value) if name == 'bands' else channel_values(name, value)
    except UserError:  # in a file
        return None


def check_class_names(checkpoint: dict, filename: str, dataset: object, complete: bool = True) -> None:
    """Compare the classes that a detector or segmentor was trained on with those of the data that it meets now.

    Where it only lends its weights (``complete`` is False), as many other classes are a warning: their heads are taken
    over.

    Raises:
        UserError: other classes, or another order, though ``complete``: each prediction would bear another's name.
    """
    trained = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    trained, own = trained.get('classes'), getattr(dataset, 'metainfo', {}).get('classes')
    if not trained or not own or list(trained) == list(own):
        return
    there, here = (
        f'{len(names)} classes ({", ".join([*names[:3], *["..."] * (len(names) > 3)])})' for names in (trained, own)
    )
    found = f'{filename} was trained on {there}, the config has {here}'
    if complete:
        raise UserError(f'{found}: give the same classes in the same order')
    if len(trained) == len(own):
        print_log(f'{found}: the heads start as those of the other classes', logger='current', level=logging.WARNING)


def _is_block(name: str) -> bool:
    return re.search(r'(^|\.)blocks\.\d+\.', name) is not None


def load_whole_model(
    model: nn.Module, filename: str, settings: Mapping | None = None, checkpoint: dict | None = None
) -> None:
    """Load a checkpoint of a whole model outside of a runner; raises as :func:`check_whole_model`.

    Args:
        settings: the config, for :func:`compare_bands`.
        checkpoint: what is in the file, where it was read before.
    """
    checkpoint = read_checkpoint(filename) if checkpoint is None else checkpoint
    compare_bands(checkpoint, filename, settings or {})
    model.load_state_dict(check_whole_model(model, checkpoint, filename, complete=True))
