"""Weights that some libraries keep apart and others merged: query, key and value; the two halves of a gated MLP; layer
scale and the layer before it. Names are canonical (:mod:`~mae_transfer.vit.weights.layouts`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import CheckpointError

QKV = ('query', 'key', 'value')

Weights = Mapping[str, Tensor]


def canonical_form(encoder: Weights) -> dict[str, Tensor]:
    """An encoder of canonical names in the shapes and parts of our ViT, whatever its layout keeps apart or merged.

    Queries, keys and values are fused, a gated MLP is split, layer scale is ``ls1.gamma`` and ``ls2.gamma``. Class
    token and registers are (1, n, D), positions (1, N, D); N are rows of a grid where they were (1, H, W, D) (SAM).

    Raises:
        CheckpointError: query, key or value is missing.
    """
    renamed = {re.sub(r'^(blocks\.\d+)\.gamma_([12])$', r'\1.ls\2.gamma', name): v for name, v in encoder.items()}
    weights = split_swiglu(fuse_qkv(renamed))
    for name in ('cls_token', 'reg_token', 'pos_embed'):
        if name in weights and weights[name].ndim != 3 and weights[name].ndim <= 4:
            weights[name] = weights[name].reshape(1, -1, weights[name].shape[-1])
    return weights


def fuse_qkv(weights: Weights) -> dict[str, Tensor]:
    """Replace ``attn.query``, ``attn.key`` and ``attn.value`` by one ``attn.qkv``, with its rows in that order.

    Where keys alone have no bias (BEiT, DINOv3), the biases become ``attn.q_bias`` and ``attn.v_bias``.

    Raises:
        CheckpointError: one of the three is missing.
    """
    fused = {}
    keys_have_bias = any(name.endswith('.attn.key.bias') for name in weights)
    for name, value in weights.items():
        match = re.fullmatch(r'(blocks\.\d+\.attn\.)(query|key|value)(\.\w+)', name)
        if match is None:
            fused[name] = value
            continue
        parts = [f'{match[1]}{part}{match[3]}' for part in QKV]
        missing = [part for part in parts if part not in weights]
        if missing == [f'{match[1]}key.bias'] and not keys_have_bias:
            fused[f'{match[1]}{match[2][0]}_bias'] = value
        elif missing:
            raise CheckpointError(f"'{name}' is there but '{missing[0]}' is not: query, key and value come together")
        else:
            fused[f'{match[1]}qkv{match[3]}'] = torch.cat([weights[part] for part in parts])
    return fused


def split_qkv(weights: Weights) -> dict[str, Tensor]:
    """The inverse of :func:`fuse_qkv`."""
    split = {}
    for name, value in weights.items():
        if match := re.fullmatch(r'(blocks\.\d+\.attn\.)qkv(\.\w+)', name):
            for part, rows in zip(QKV, value.chunk(3)):
                split[f'{match[1]}{part}{match[2]}'] = rows
        elif match := re.fullmatch(r'(blocks\.\d+\.attn\.)([qv])_bias', name):
            split[f'{match[1]}{"query" if match[2] == "q" else "value"}.bias'] = value
        else:
            split[name] = value
    return split


def with_full_qkv_bias(weights: Weights) -> dict[str, Tensor]:
    """Replace ``attn.q_bias`` and ``attn.v_bias`` by ``attn.qkv.bias``, whose keys have a bias of zero; the outputs
    stay the same."""
    full = {name: value for name, value in weights.items() if not name.endswith(('.attn.q_bias', '.attn.v_bias'))}
    for name, query in weights.items():
        if name.endswith('.attn.q_bias') and (value := weights.get(name.replace('q_bias', 'v_bias'))) is not None:
            full[name.replace('q_bias', 'qkv.bias')] = torch.cat([query, torch.zeros_like(query), value])
    return full


def without_key_bias(weights: Weights) -> dict[str, Tensor]:
    """The inverse of :func:`with_full_qkv_bias`.

    Raises:
        CheckpointError: keys have a bias that is not zero.
    """
    changed = {}
    for name, bias in weights.items():
        if not name.endswith('.attn.qkv.bias'):
            changed[name] = bias
            continue
        query, key, value = bias.chunk(3)
        if key.any():
            raise CheckpointError(f"'{name}' has a bias of keys that is not zero, and the keys there have none")
        changed[name.replace('qkv.bias', 'q_bias')], changed[name.replace('qkv.bias', 'v_bias')] = query, value
    return changed


def split_swiglu(weights: Weights) -> dict[str, Tensor]:
    """Split the first layer ``mlp.fc1`` of a gated MLP, which has twice as many outputs as ``mlp.fc2`` has inputs, into
    the gate ``mlp.fc1_g``, its first half, and ``mlp.fc1_x`` (timm's SwiGLUPacked, DINOv2's ``w12``)."""
    split = {}
    for name, value in weights.items():
        match = re.fullmatch(r'(blocks\.\d+\.mlp\.)fc1(\.\w+)', name)
        last = weights.get(f'{match[1]}fc2.weight') if match else None
        if match and last is not None and len(value) == 2 * last.shape[1]:
            split[f'{match[1]}fc1_g{match[2]}'], split[f'{match[1]}fc1_x{match[2]}'] = value.chunk(2)
        else:
            split[name] = value
    return split


def pack_swiglu(weights: Weights) -> dict[str, Tensor]:
    """The inverse of :func:`split_swiglu`."""
    packed = {}
    for name, value in weights.items():
        if '.mlp.fc1_g.' in name:
            packed[name.replace('fc1_g', 'fc1')] = torch.cat([value, weights[name.replace('fc1_g', 'fc1_x')]])
        elif '.mlp.fc1_x.' not in name:
            packed[name] = value
    return packed


def fold_layer_scale(weights: Weights) -> dict[str, Tensor]:
    """Multiply ``ls1.gamma`` and ``ls2.gamma`` of each block into the linear layer before, which leaves the outputs the
    same.

    Raises:
        CheckpointError: that layer is missing.
    """
    folded = dict(weights)
    for name in weights:
        match = re.fullmatch(r'(blocks\.\d+\.)ls([12])\.gamma', name)
        if match is None:
            continue
        layer = match[1] + ('attn.proj' if match[2] == '1' else 'mlp.fc2')
        weight, bias = f'{layer}.weight', f'{layer}.bias'
        if missing := [scaled for scaled in (weight, bias) if scaled not in weights]:
            raise CheckpointError(f"'{name}' scales '{missing[0]}', which is not there")
        scale = folded.pop(name)
        if scale.shape != weights[bias].shape:
            raise CheckpointError(
                f"'{name}' of shape {tuple(scale.shape)} scales '{bias}' of shape {tuple(weights[bias].shape)}"
            )
        if not (scale == 1).all():
            folded[weight] = scale[:, None] * weights[weight]
            folded[bias] = scale * weights[bias]
    return folded


def with_layer_scale(weights: Weights) -> dict[str, Tensor]:
    """Add the layer scales that blocks lack, as ones: the outputs stay the same."""
    scaled = dict(weights)
    for name, bias in weights.items():
        if match := re.fullmatch(r'(blocks\.\d+\.)(attn\.proj|mlp\.fc2)\.bias', name):
            scaled.setdefault(f'{match[1]}ls{1 if match[2] == "attn.proj" else 2}.gamma', torch.ones_like(bias))
    return scaled


def class_row_in_token(weights: Weights) -> dict[str, Tensor]:
    """Add the class token's row of ``pos_embed`` to the class token, and leave it out of the table (timm's
    ``no_embed_class``); the tokens stay the same."""
    changed = dict(weights)
    if 'cls_token' in weights and 'pos_embed' in weights:
        row, changed['pos_embed'] = weights['pos_embed'].split([1, weights['pos_embed'].shape[1] - 1], dim=1)
        changed['cls_token'] = weights['cls_token'] + row
    return changed
