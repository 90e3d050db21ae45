"""Differences in design between a checkpoint and a model that leave the outputs the same: bridged, and said."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import CheckpointError
from .merged_weights import fold_layer_scale, with_full_qkv_bias, with_layer_scale, without_key_bias

State = Mapping[str, Tensor]
_PATCH_BIAS = 'patch_embed.proj.bias'


def bridge(encoder: State, target: State) -> tuple[dict[str, Tensor], list[str]]:
    """The encoder of a checkpoint with the parts of a model, where these compute the same.

    Layer scale is multiplied into the layer before it, or set to one; biases that are not there are zero, and those
    that are zero are left out; a table of relative positions that all blocks share is copied into each. Only registers
    change the outputs: a ViT without class token has no place for them either, as one with windows (ViTDet).

    Args:
        encoder: canonical names.
        target: the model's state dict.

    Returns:
        The encoder, and what was done, for the report.

    Raises:
        CheckpointError: a bias that the model has no place for is not zero.
    """
    notes: list[str] = []
    weights = dict(encoder)
    for step in (_registers, _layer_scale, _qkv_bias, _patch_bias, _shared_table):
        weights = step(weights, target, notes)
    return weights, notes


def _registers(weights: dict[str, Tensor], target: State, notes: list[str]) -> dict[str, Tensor]:
    if 'reg_token' not in weights or 'reg_token' in target or 'cls_token' in target:
        return weights
    notes.append(f'registers: {weights["reg_token"].shape[1]} left out, as the class token is')
    return {name: value for name, value in weights.items() if name != 'reg_token'}


def _has(state: State, ending: str) -> bool:
    return any(name.endswith(ending) for name in state)


def _layer_scale(weights: dict[str, Tensor], target: State, notes: list[str]) -> dict[str, Tensor]:
    has, wanted = (any(map(is_layer_scale, state)) for state in (weights, target))
    if has and not wanted:
        notes.append('layer scale: multiplied into the layers before it, the model has none')
        return fold_layer_scale(weights)
    if wanted and not has:
        notes.append('layer scale: set to one, the checkpoint has none')
        return with_layer_scale(weights)
    return weights


def is_layer_scale(name: str) -> bool:
    """Whether a weight of canonical name is the layer scale of a block."""
    return re.fullmatch(r'blocks\.\d+\.ls[12]\.gamma', name) is not None


def _qkv_bias(weights: dict[str, Tensor], target: State, notes: list[str]) -> dict[str, Tensor]:
    if _has(target, '.attn.qkv.bias'):
        if _has(weights, '.attn.q_bias'):
            notes.append('bias of keys: zero, the checkpoint has none')
            return with_full_qkv_bias(weights)
        return _zero_biases(weights, target, '.attn.qkv.bias', 'bias of queries, keys and values', notes)
    if _has(target, '.attn.q_bias'):
        if _has(weights, '.attn.qkv.bias'):
            weights = _without_key_bias(weights)
            notes.append('bias of keys: left out, it is zero')
            return weights
        weights = _zero_biases(weights, target, '.attn.q_bias', 'bias of queries and values', notes)
        return _zero_biases(weights, target, '.attn.v_bias', '', notes)
    return _drop_zeros(weights, target, ('.attn.qkv.bias', '.attn.q_bias', '.attn.v_bias'), "qkv_bias='qkv'", notes)


def _without_key_bias(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    try:
        return without_key_bias(weights)
    except CheckpointError as error:
        raise CheckpointError(f"{error} in the model: choose design=dict(qkv_bias='qkv')") from None


def _patch_bias(weights: dict[str, Tensor], target: State, notes: list[str]) -> dict[str, Tensor]:
    if _PATCH_BIAS in target:
        return _zero_biases(weights, target, _PATCH_BIAS, 'bias of the patch embedding', notes)
    return _drop_zeros(weights, target, (_PATCH_BIAS,), 'patch_bias=True', notes)


def _zero_biases(
    weights: dict[str, Tensor], target: State, ending: str, what: str, notes: list[str]
) -> dict[str, Tensor]:
    """Zeros for the biases of the model that end in ``ending``, where a checkpoint has none of them at all."""
    wanted = [name for name in target if name.endswith(ending)]
    layers = [name.replace('.q_bias', '.qkv.bias').replace('.v_bias', '.qkv.bias') for name in wanted]
    weight_names = [name.removesuffix('bias') + 'weight' for name in layers]
    if _has(weights, ending) or not all(name in weights for name in weight_names):
        return weights
    if what and wanted:
        notes.append(f'{what}: zero, the checkpoint has none')
    reference = next(iter(weights.values()))
    return weights | {name: torch.zeros(target[name].shape, dtype=reference.dtype) for name in wanted}


def _drop_zeros(
    weights: dict[str, Tensor], target: State, endings: tuple[str, ...], setting: str, notes: list[str]
) -> dict[str, Tensor]:
    """Leave out biases that the model has no place for and that are zero."""
    names = [name for name in weights if name.endswith(endings) and name not in target]
    for name in names:
        if weights[name].any():
            raise CheckpointError(
                f"'{name}' of the checkpoint is not zero; the model has none: choose design=dict({setting})"
            )
    if names:
        notes.append(f'{names[0]}{", ..." if len(names) > 1 else ""}: left out, zero')
    return {name: value for name, value in weights.items() if name not in names}


def _shared_table(weights: dict[str, Tensor], target: State, notes: list[str]) -> dict[str, Tensor]:
    tables = [name for name in target if name.endswith('.attn.relative_position_bias_table')]
    if 'rel_pos_global' not in weights or 'rel_pos_global' in target or not tables:
        return weights
    notes.append(f'relative positions: the table that all blocks share, copied into each of {len(tables)}')
    shared = weights.pop('rel_pos_global')
    return weights | dict.fromkeys(tables, shared)
