"""How the libraries name the weights of an MAE, and conversion of state dicts between these layouts.

Every layout is converted to and from canonical names: timm's for the encoder (``cls_token``, ``pos_embed``,
``patch_embed.proj.weight``, ``blocks.3.attn.qkv.weight``, ``norm.weight``) and the classification head
(``head.weight``, ``fc_norm.weight``; ``head_norm.running_mean`` in our linear probes), and for the decoder ours without
the prefix ``decoder.`` (``mask_token``, ``pos_embed``, ``embed.weight``, ``blocks.0.mlp.fc1.bias``, ``norm.bias``,
``pred.weight``).

Unknown names within an encoder or decoder (layer scale, register tokens) are kept unchanged, so that loading fails on
them: dropping them would silently load another model.

Sources of the names: official code ``models_mae.py`` and ``models_vit.py``; timm ``vision_transformer.py``; mmpretrain
``backbones/vision_transformer.py`` and ``necks/mae_neck.py``; transformers ``models/vit_mae`` and its
``conversion_mapping.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ...errors import CheckpointError
from .head import fold_head_norm, why_no_head
from .merged_weights import QKV, canonical_form, fold_layer_scale, fuse_qkv, split_qkv, with_full_qkv_bias
from .names import Names
from .peers import PEERS, find_peer
from .peers.timm import to_vision_transformer

State = Mapping[str, Tensor]


_DECODER = {name: f'decoder_{name}' for name in ('pos_embed', 'embed', 'norm', 'pred')} | {'mask_token': 'mask_token'}
_HEAD = {name: name for name in ('head', 'fc_norm')}
_MMPRETRAIN_BLOCK = {'norm1': 'ln1', 'norm2': 'ln2', 'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1'}
_HF_BLOCK = {
    'norm1': 'layernorm_before',
    'norm2': 'layernorm_after',
    'attn.proj': 'attention.output.dense',
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
    **{f'attn.{part}': f'attention.attention.{part}' for part in QKV},
}

#: layout -> part -> its names. A layout that lacks a part cannot store it. A name belongs to the first part that
#: matches, so that an encoder without prefix gets all remaining names.
LAYOUTS: dict[str, dict[str, Names]] = {
    'mae_transfer': dict(
        head=Names('', {**_HEAD, 'head_norm': 'head_norm'}),
        decoder=Names('decoder.', {}, 'blocks'),
        encoder=Names('vit.', {}, 'blocks'),
    ),
    'official': dict(
        head=Names('', _HEAD), decoder=Names('', _DECODER, 'decoder_blocks'), encoder=Names('', {}, 'blocks')
    ),
    'timm': dict(head=Names('', _HEAD), encoder=Names('', {}, 'blocks')),
    'mmpretrain': dict(
        # The norm after average pooling, fc_norm elsewhere, is ln2 of the backbone in mmpretrain; a linear probe's is
        # its ClsBatchNormNeck.
        head=Names('', {'head': 'head.layers.head', 'fc_norm': 'backbone.ln2', 'head_norm': 'neck.bn'}),
        decoder=Names('neck.', {**_DECODER, 'norm': 'ln1'}, 'decoder_blocks', _MMPRETRAIN_BLOCK),
        encoder=Names(
            'backbone.', {'patch_embed.proj': 'patch_embed.projection', 'norm': 'ln1'}, 'layers', _MMPRETRAIN_BLOCK
        ),
    ),
    'hf': dict(
        head=Names('', {'head': 'classifier'}),
        decoder=Names('decoder.', _DECODER, 'decoder_layers', _HF_BLOCK),
        encoder=Names(
            'vit.',
            {
                'cls_token': 'embeddings.cls_token',
                'pos_embed': 'embeddings.position_embeddings',
                'patch_embed.proj': 'embeddings.patch_embeddings.projection',
                'norm': 'layernorm',
            },
            'encoder.layer',
            _HF_BLOCK,
        ),
    ),
}

#: Names within an encoder that are not a ViT's: a layer after the class token, what only masked pre-training uses, and
#: a head that is attention (SigLIP).
_OUTSIDE = {'hf': r'vit\.pooler\.|vit\.embeddings\.mask_token$', 'timm': r'mask_token$|attn_pool\.'}

#: Canonical names of an MAE's parameters, the only ones in models of official code, mmpretrain and transformers.
_PARAMETER_NAME = re.compile(
    r'(cls_token|mask_token|pos_embed'
    r'|(patch_embed\.proj|embed|norm|pred|head|fc_norm)\.(weight|bias)'
    r'|blocks\.\d+\.(norm[12]|attn\.(qkv|query|key|value|proj)|mlp\.fc[12])\.(weight|bias))'
)

_KNOWN_NAMES = (
    'official: blocks.0.*; timm: blocks.0.*; mmpretrain: backbone.layers.0.*; hf: vit.encoder.layer.0.* or '
    'vit.layers.0.*; mae_transfer: vit.blocks.0.* or backbone.blocks.0.*'
)


def strip_wrappers(state: State) -> dict[str, Tensor]:
    """Remove ``module.`` (data parallelism) and ``_orig_mod.`` (``torch.compile``) if all names start with it."""
    state = dict(state)
    prefixes = ('module.', '_orig_mod.')
    while state and (prefix := next((p for p in prefixes if all(name.startswith(p) for name in state)), None)):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def detect_layout(state: State) -> str:
    """The layout, one of :data:`LAYOUTS` or :data:`~mae_transfer.vit.weights.peers.PEERS`, that the names follow.

    The official code, timm and our own ViT use the same names for an encoder without decoder: the layout is then
    'timm'.

    Raises:
        CheckpointError: the names follow none of them; the message shows some names and the known layouts.
    """

    def has(pattern: str) -> bool:
        return any(re.match(pattern, name) for name in state)

    if peer := find_peer(state):
        return peer
    if has(r'(vit\.)?embeddings\.patch_embeddings\.projection\.'):
        return 'hf'
    if has(r'(backbone\.)?layers\.\d+\.ln1\.') and has(r'(backbone\.)?patch_embed\.projection\.'):
        return 'mmpretrain'
    if has(r'(vit|backbone)\.(blocks\.\d+|patch_embed\.proj)\.'):
        return 'mae_transfer'
    if has(r'blocks\.\d+\.') or has(r'patch_embed\.proj\.'):
        return 'official' if has('decoder_') else 'timm'
    found = ', '.join(list(state)[:4]) or 'nothing'
    raise CheckpointError(f'no ViT in the weights: found names {found} ({len(state)} in all); known are {_KNOWN_NAMES}')


def to_canonical(state: State, layout: str | None = None) -> tuple[dict, dict | None, dict, list[str]]:
    """Convert weights of any known layout to canonical names. The tensors are the same, except for those that one
    layout fuses and another does not (:func:`~mae_transfer.vit.weights.merged_weights.canonical_form`).

    Args:
        state: flat dictionary of weights.
        layout: its layout; None to detect it.

    Returns:
        The encoder; the decoder, or None; the classification head (often empty); the names of all other weights.

    Raises:
        CheckpointError: an unknown layout; query, key or value is missing; two names for one parameter.
    """
    state = strip_wrappers(state)
    layout = layout or detect_layout(state)
    if layout in PEERS:
        encoder, head, other = PEERS[layout].to_canonical(state)
        return encoder, None, head, other
    parts: dict[str, dict] = dict(encoder={}, decoder={}, head={})
    other = []
    is_backbone = layout == 'mmpretrain' and not any(name.startswith('backbone.') for name in state)
    for name, value in state.items():
        if layout == 'hf':
            name = _hub_name(name)
        elif layout == 'mae_transfer':
            name = re.sub(r'^backbone\.', 'vit.', name)  # in our detectors, segmentors and classifiers
        if name.endswith('.relative_position_index'):  # in BEiT and mmseg: not a weight, the grid determines it
            other.append(name)
            continue
        part, canonical = _assign(f'backbone.{name}' if is_backbone else name, layout)
        if part is None:
            other.append(name)
        elif canonical in parts[part]:
            raise CheckpointError(f"two weights for {part} '{canonical}' of layout {layout}: '{name}' is the second")
        else:
            parts[part][canonical] = value
    parts['encoder'], parts['decoder'] = canonical_form(parts['encoder']), fuse_qkv(parts['decoder'])
    return parts['encoder'], parts['decoder'] or None, parts['head'], other


def from_canonical(encoder: State, decoder: State | None, layout: str, head: State | None = None) -> dict[str, Tensor]:
    """The inverse of :func:`to_canonical`.

    The batch norm of a linear probe is folded into its head, except in our own layout; so is layer scale into the
    layers before it where the layout's models have none, and keys without a bias get one of zero. The outputs stay the
    same.

    Args:
        encoder, decoder, head: canonical names.
        layout: one of :data:`LAYOUTS` or :data:`~mae_transfer.vit.weights.peers.PEERS`.

    Returns:
        Flat dictionary in that layout.

    Raises:
        CheckpointError: the layout is unknown, or cannot store a part or a parameter, or would make another classifier
            of the head.
    """
    if layout not in LAYOUTS and layout not in PEERS:
        raise CheckpointError(f"unknown layout '{layout}': choose one of {', '.join([*LAYOUTS, *PEERS])}")
    if layout == 'hf' and encoder and 'cls_token' not in encoder:
        raise CheckpointError("layout hf cannot store a ViT without class token: transformers' ViTs all have one")
    if head and layout != 'mae_transfer':
        head = fold_head_norm(head)
    if head and (reason := why_no_head(head, layout)):
        raise CheckpointError(f'layout {layout} cannot store the head: {reason}')
    if layout in PEERS:
        if decoder:
            raise CheckpointError(f'layout {layout} cannot store a decoder ({len(decoder)} weights): leave it out')
        return PEERS[layout].from_canonical(encoder, head or {}, layout)
    if layout == 'timm':
        encoder = to_vision_transformer(encoder)
    if layout != 'mae_transfer':
        encoder = with_full_qkv_bias(encoder)
    if layout not in ('mae_transfer', 'timm'):
        encoder = fold_layer_scale(encoder)
    state = {}
    for part, weights in dict(encoder=encoder, decoder=decoder, head=head).items():
        if not weights:
            continue
        if part not in LAYOUTS[layout]:
            raise CheckpointError(f'layout {layout} cannot store a {part} ({len(weights)} weights): leave it out')
        weights = split_qkv(weights) if layout == 'hf' else weights
        for name, value in weights.items():
            if layout not in ('mae_transfer', 'timm') and not _PARAMETER_NAME.fullmatch(name):
                raise CheckpointError(f"layout {layout} cannot store '{name}' of the {part}")
            state[LAYOUTS[layout][part].from_canonical(name)] = value
    return state


def _assign(name: str, layout: str) -> tuple[str | None, str]:
    """The part that a name belongs to and its canonical name; None and the name itself if it belongs to no part."""
    if re.match(_OUTSIDE.get(layout, r'(?!)'), name):
        return None, name
    for part, names in LAYOUTS[layout].items():
        if part == 'encoder' or names.prefix:
            belongs = name.startswith(names.prefix)
        else:
            belongs = names.contains(name)
        if belongs:
            return part, names.to_canonical(name.removeprefix(names.prefix))
    return None, name


def _hub_name(name: str) -> str:
    """A name in any of transformers' versions -> that of the files on the Hub.

    Release 5 renamed the modules in memory (``layers.0.attention.q_proj``). The files it writes have the old names for
    the encoder, but ``decoder.decoder_encoder.layer.0`` for the decoder. A bare ViTMAEModel has no prefix ``vit.``.
    """
    if re.match(r'(embeddings|encoder|layers|layernorm|pooler)\.', name):
        name = f'vit.{name}'
    name = re.sub(r'^vit\.layers\.', 'vit.encoder.layer.', name)
    name = re.sub(r'^decoder\.decoder_encoder\.layer\.', 'decoder.decoder_layers.', name)
    for part in QKV:
        name = re.sub(rf'\.attention\.{part[0]}_proj\.', f'.attention.attention.{part}.', name)
        name = re.sub(rf'(?<!\.attention)\.attention\.{part}\.', f'.attention.attention.{part}.', name)
    name = name.replace('.attention.o_proj.', '.attention.output.dense.')
    return name.replace('.mlp.fc1.', '.intermediate.dense.').replace('.mlp.fc2.', '.output.dense.')
