"""Files of official repositories, which are not packages: the same models from timm, saved under the official names
(:mod:`~mae_transfer.benchmarks.equality`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .equality import Start
from .equality_timm import TIMM_STARTS

State = dict[str, Tensor]


def _like(name: str, timm: str, layout: str, names: Callable[[State], State], **changes: Any) -> Start:
    """The start ``timm``, of timm's, with the names of an official file."""
    start = next(start for start in TIMM_STARTS if start.name == timm)
    return replace(start, name=name, source=f'{start.source}, renamed', layout=layout, names=names, **changes)


def _renamed(state: State, *pairs: tuple[str, str]) -> State:
    for pattern, replacement in pairs:
        state = {re.sub(pattern, replacement, name): value for name, value in state.items()}
    return state


def _moco(state: State) -> State:
    return {f'module.base_encoder.{name}': value for name, value in state.items()}


def _beit(state: State) -> State:
    """A file of pre-training."""
    width = state['cls_token'].shape[-1]
    return state | {'mask_token': torch.ones(1, 1, width), 'lm_head.weight': torch.ones(8, width)}


def _beit_tables(state: State) -> State:
    """A fine-tuned file, with its head."""
    index = {f'blocks.{i}.attn.relative_position_index': torch.ones(2, 2, dtype=torch.long) for i in range(3)}
    width = state['cls_token'].shape[-1]
    return state | index | {'fc_norm.weight': torch.ones(width), 'head.weight': torch.ones(5, width)}


def _dinov2(state: State) -> State:
    """With registers and chunked blocks; timm's has the class token's position in the class token."""
    pos = torch.cat([torch.zeros_like(state['pos_embed'][:, :1]), state['pos_embed']], dim=1)
    state = state | {'pos_embed': pos, 'mask_token': torch.ones(1, pos.shape[-1])}
    return _renamed(state, ('^reg_token$', 'register_tokens'), (r'^blocks\.(\d)\.', r'blocks.0.\1.'))


def _dinov2_giant(state: State) -> State:
    return _renamed(state, (r'\.mlp\.fc1\.', '.mlp.w12.'), (r'\.mlp\.fc2\.', '.mlp.w3.'))


def _dinov3(state: State) -> State:
    """One bias for queries, keys and values, whose keys' third is masked and holds anything."""
    state = _renamed(
        state,
        ('^reg_token$', 'storage_tokens'),
        (r'\.gamma_([12])$', r'.ls\1.gamma'),
        (r'\.mlp\.fc1_g\.', '.mlp.w1.'),
        (r'\.mlp\.fc1_x\.', '.mlp.w2.'),
    )
    gated = any('.mlp.w1.' in name for name in state)
    state = _renamed(state, (r'\.mlp\.fc2\.', '.mlp.w3.')) if gated else state
    for name in [name for name in state if name.endswith('.attn.q_bias')]:
        query, value = state.pop(name), state.pop(name.replace('q_bias', 'v_bias'))
        one = torch.ones_like(query)
        bias = name.replace('q_bias', 'qkv.bias')
        state[bias], state[f'{bias}_mask'] = torch.cat([query, one, value]), torch.cat([one, 0 * one, one])
    width = state['cls_token'].shape[-1]
    return state | {'rope_embed.periods': torch.ones(8), 'mask_token': torch.ones(1, width)}


def _clip(state: State) -> State:
    """A whole model, with its tower for text."""
    state = {name: value for name, value in state.items() if not name.startswith('head')}
    state['cls_token'], state['pos_embed'] = state['cls_token'][0, 0], state['pos_embed'][0]
    state = _renamed(
        state,
        ('^cls_token$', 'class_embedding'),
        ('^pos_embed$', 'positional_embedding'),
        (r'^patch_embed\.proj\.', 'conv1.'),
        (r'^norm_pre\.', 'ln_pre.'),
        (r'^norm\.', 'ln_post.'),
        (r'^blocks\.', 'transformer.resblocks.'),
        (r'\.norm([12])\.', r'.ln_\1.'),
        (r'\.attn\.qkv\.', '.attn.in_proj_'),
        (r'\.attn\.proj\.', '.attn.out_proj.'),
        (r'\.mlp\.fc1\.', '.mlp.c_fc.'),
        (r'\.mlp\.fc2\.', '.mlp.c_proj.'),
    )
    text = (
        'positional_embedding',
        'token_embedding.weight',
        'transformer.resblocks.0.attn.in_proj_weight',
        'logit_scale',
    )
    visual = {f'visual.{name}': value for name, value in state.items()}
    return {**visual, 'visual.proj': torch.ones(64, 8), **{name: torch.ones(4, 4) for name in text}}


def _sam(state: State) -> State:
    state = {name: value for name, value in state.items() if not name.startswith('head.')}
    state = _renamed(state, (r'\.mlp\.fc([12])\.', r'.mlp.lin\1.'), ('^', 'image_encoder.'))
    return state | {'prompt_encoder.no_mask_embed.weight': torch.ones(1, 8)}


def _eva02(state: State) -> State:
    state = _renamed(
        state,
        (r'\.attn\.([qv])_proj\.bias$', r'.attn.\1_bias'),
        (r'\.mlp\.fc1_g\.', '.mlp.w1.'),
        (r'\.mlp\.fc1_x\.', '.mlp.w2.'),
        (r'\.mlp\.fc2\.', '.mlp.w3.'),
        (r'\.mlp\.norm\.', '.mlp.ffn_ln.'),
    )
    return state | {'rope.freqs_cos': torch.ones(16, 32), 'blocks.0.attn.rope.freqs_sin': torch.ones(16, 32)}


OFFICIAL_STARTS = [
    _like('MoCo v3', 'ViT: DeiT, AugReg, MoCo v3', 'timm', _moco),
    _like('BEiT, pre-trained', 'BEiT, one table', 'timm_beit', _beit),
    _like('BEiT, fine-tuned', 'BEiT, BEiT v2', 'timm_beit', _beit_tables),
    _like('DINOv2 with registers', 'DINOv2 with registers', 'dinov2', _dinov2),
    _like('DINOv2 giant', 'DINOv2 giant', 'dinov2', _dinov2_giant),
    _like('DINOv3', 'DINOv3', 'dinov3', _dinov3),
    _like('DINOv3, 7B', 'DINOv3, 7B', 'dinov3', _dinov3),
    _like('CLIP of OpenAI and open_clip', 'CLIP', 'openai_clip', _clip),
    _like('SAM', 'SAM', 'sam', _sam),
    _like('EVA-02, B', 'EVA-02, B', 'timm_eva', _eva02),
]
