"""Merge weights that some libraries keep separate: query, key and value into one matrix, layer scale into the layer
before it. Names are canonical (:mod:`~mae_transfer.vit.weights.layouts`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import CheckpointError

QKV = ('query', 'key', 'value')


def fuse_qkv(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace ``attn.query``, ``attn.key`` and ``attn.value`` by one ``attn.qkv``, with its rows in that order.

    Raises:
        CheckpointError: one of the three is missing.
    """
    fused = {}
    for name, value in weights.items():
        match = re.fullmatch(r'(blocks\.\d+\.attn\.)(query|key|value)(\.\w+)', name)
        if match is None:
            fused[name] = value
            continue
        fused_name = f'{match[1]}qkv{match[3]}'
        if fused_name not in fused:
            parts = [f'{match[1]}{part}{match[3]}' for part in QKV]
            if missing := [part for part in parts if part not in weights]:
                raise CheckpointError(
                    f"'{name}' is there but '{missing[0]}' is not: query, key and value come together"
                )
            fused[fused_name] = torch.cat([weights[part] for part in parts])
    return fused


def split_qkv(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`fuse_qkv`."""
    split = {}
    for name, value in weights.items():
        match = re.fullmatch(r'(blocks\.\d+\.attn\.)qkv(\.\w+)', name)
        if match is None:
            split[name] = value
        else:
            for part, rows in zip(QKV, value.chunk(3)):
                split[f'{match[1]}{part}{match[2]}'] = rows
    return split


def fold_layer_scale(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Multiply ``gamma_1`` and ``gamma_2`` of each block (BEiT; mmseg's MAE, where they start at one) into the linear
    layer before, which leaves the outputs the same.

    Raises:
        CheckpointError: that layer is missing.
    """
    folded = dict(weights)
    for name in weights:
        match = re.fullmatch(r'(blocks\.\d+\.)gamma_([12])', name)
        if match is None:
            continue
        layer = match[1] + ('attn.proj' if match[2] == '1' else 'mlp.fc2')
        weight, bias = f'{layer}.weight', f'{layer}.bias'
        if missing := [scaled for scaled in (weight, bias) if scaled not in weights]:
            raise CheckpointError(f"'{name}' scales '{missing[0]}', which is not there")
        scale = folded.pop(name)
        if not (scale == 1).all():
            folded[weight] = scale[:, None] * weights[weight]
            folded[bias] = scale * weights[bias]
    return folded
