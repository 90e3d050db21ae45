"""DINOv3. timm's has the names of its EVA (:mod:`~mae_transfer.vit.weights.peers.timm`).

Sources: official code ``dinov3/models/vision_transformer.py``, ``layers/attention.py`` and ``layers/ffn_layers.py``;
transformers ``models/dinov3_vit``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ..merged_weights import split_qkv, with_full_qkv_bias, with_layer_scale, without_key_bias
from ..names import Names
from .peer import BLOCK, LAYER_SCALES, Peer

_GATED = {'mlp.fc1_g': 'mlp.w1', 'mlp.fc1_x': 'mlp.w2', 'mlp.w3': 'mlp.w3'}


def _masked_bias(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The bias of queries and values: the file has one of keys, too, which ``qkv.bias_mask`` sets to zero (or to NaN in
    a file from before the first step)."""
    weights = dict(encoder)
    for name in encoder:
        if name.endswith('.attn.qkv.bias_mask'):
            del weights[name]
            query, key, value = weights.pop(bias := name.removesuffix('_mask')).chunk(3)
            weights[bias] = torch.cat([query, torch.zeros_like(key), value])
    return weights if len(weights) == len(encoder) else without_key_bias(weights)


def _with_bias_mask(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`_masked_bias`."""
    weights = with_full_qkv_bias(encoder)
    for name, bias in list(weights.items()):
        if re.fullmatch(r'blocks\.\d+\.attn\.qkv\.bias', name):
            one = torch.ones(len(bias) // 3, dtype=bias.dtype)
            weights[f'{name}_mask'] = torch.cat([one, torch.zeros_like(one), one])
    return weights


OFFICIAL = Peer(
    landmarks=(r'storage_tokens$|rope_embed\.periods$|blocks\.\d+\.attn\.qkv\.bias_mask$',),
    encoder=Names(
        '',
        {**{name: name for name in ('cls_token', 'patch_embed.proj', 'norm')}, 'reg_token': 'storage_tokens'},
        'blocks',
        {**BLOCK, **{name: name for name in LAYER_SCALES}, **_GATED},
    ),
    spellings=((r'\.mlp\.w3\.', '.mlp.fc2.'),),
    outside=r'mask_token$|rope_embed\.|local_cls_norm\.|cls_norm\.',
    read=_masked_bias,
    write=(without_key_bias, _with_bias_mask, with_layer_scale, lambda encoder: _rename_gated(encoder, 'fc2', 'w3')),
    rotary=('dinov3',),
    design='dinov3',
)

HF = Peer(
    landmarks=(r'embeddings\.patch_embeddings\.weight$', r'(model\.)?layer\.\d+\.layer_scale1\.lambda1$'),
    encoder=Names(
        '',
        {
            'cls_token': 'embeddings.cls_token',
            'reg_token': 'embeddings.register_tokens',
            'patch_embed.proj': 'embeddings.patch_embeddings',
            'norm': 'norm',
        },
        'layer',
        {
            'norm1': 'norm1',
            'norm2': 'norm2',
            'attn.query': 'attention.q_proj',
            'attn.key': 'attention.k_proj',
            'attn.value': 'attention.v_proj',
            'attn.proj': 'attention.o_proj',
            'mlp.fc1': 'mlp.up_proj',
            'mlp.fc1_g': 'mlp.gate_proj',
            'mlp.fc2': 'mlp.down_proj',
            'ls1.gamma': 'layer_scale1.lambda1',
            'ls2.gamma': 'layer_scale2.lambda1',
        },
    ),
    spellings=((r'^model\.layer\.', 'layer.'),),
    outside=r'embeddings\.mask_token$|rope_embeddings\.',
    read=lambda encoder: _rename_gated(encoder, 'fc1', 'fc1_x'),
    write=(without_key_bias, lambda encoder: _rename_gated(encoder, 'fc1_x', 'fc1'), with_layer_scale, split_qkv),
    rotary=('dinov3',),
    design='dinov3',
)


def _rename_gated(encoder: Mapping[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    """The first layer of the MLP, which transformers calls alike in gated and plain MLPs: rename it in gated ones."""

    def renamed(name: str) -> str:
        gate = re.sub(rf'\.mlp\.{old}\.', '.mlp.fc1_g.', name)
        return re.sub(rf'\.mlp\.{old}\.', f'.mlp.{new}.', name) if gate in encoder else name

    return {renamed(name): value for name, value in encoder.items()}
