"""The names that others give to the weights of an MAE, and ours: pure functions from dictionary to dictionary.

Canonical names, which every layout is carried to and from: the encoder has timm's (``cls_token``, ``pos_embed``,
``patch_embed.proj.weight``, ``blocks.3.attn.qkv.weight``, ``norm.weight``), the decoder ours without ``decoder.`` in
front (``mask_token``, ``pos_embed``, ``embed.weight``, ``blocks.0.mlp.fc1.bias``, ``norm.bias``, ``pred.weight``), a
classification head timm's (``head.weight``, ``fc_norm.weight``).

A name within an encoder or decoder that no rule knows is carried along as it is: the loader then trips over it, where
dropping it would quietly make another model (layer scale, register tokens).

Sources of the names: official code ``models_mae.py`` and ``models_vit.py``; timm ``vision_transformer.py``; mmpretrain
``backbones/vision_transformer.py`` and ``necks/mae_neck.py``; transformers ``models/vit_mae`` and its
``conversion_mapping.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import UserError

State = Mapping[str, Tensor]


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that cannot be read, or does not fit: what is wrong, what was found, what would be right."""


@dataclass(frozen=True)
class Names:
    """How one layout spells one part (encoder, decoder or head) of a model.

    Args:
        prefix: what stands before every name of the part.
        modules: canonical name of a module or parameter -> this layout's, after the prefix; the rest are the same.
        blocks: what stands before a block's number, after the prefix; None where there are no blocks.
        inside: canonical name of a module within a block -> this layout's.
    """

    prefix: str
    modules: Mapping[str, str]
    blocks: str | None = None
    inside: Mapping[str, str] | None = None

    def knows(self, name: str) -> bool:
        """Whether a name, without prefix, is one that this part spells out: for parts that no prefix sets apart."""
        is_block = self.blocks is not None and name.startswith(f'{self.blocks}.')
        return is_block or name in self.modules.values() or name.rpartition('.')[0] in self.modules.values()

    def to_canonical(self, name: str) -> str:
        """Rename one name, whose prefix is taken off already."""
        if self.blocks and (match := re.fullmatch(re.escape(self.blocks) + r'\.(\d+)\.(.+)', name)):
            return f'blocks.{match[1]}.{_swap(match[2], _inverse(self.inside or {}))}'
        return _swap(name, _inverse(self.modules))

    def from_canonical(self, name: str) -> str:
        """The inverse of :meth:`to_canonical`, prefix included."""
        if match := re.fullmatch(r'blocks\.(\d+)\.(.+)', name):
            return f'{self.prefix}{self.blocks}.{match[1]}.{_swap(match[2], self.inside or {})}'
        return self.prefix + _swap(name, self.modules)


def _inverse(table: Mapping[str, str]) -> dict[str, str]:
    return {theirs: ours for ours, theirs in table.items()}


def _swap(name: str, table: Mapping[str, str]) -> str:
    """Replace a name, or the module before its last dot, by the table's entry for it; leave the others."""
    module, dot, leaf = name.rpartition('.')
    return table.get(name) or (table[module] + dot + leaf if module in table else name)


_DECODER = {name: f'decoder_{name}' for name in ('pos_embed', 'embed', 'norm', 'pred')} | {'mask_token': 'mask_token'}
_HEAD = {name: name for name in ('head', 'fc_norm')}
_MMPRETRAIN_BLOCK = {'norm1': 'ln1', 'norm2': 'ln2', 'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1'}
_QKV = ('query', 'key', 'value')
_HF_BLOCK = {
    'norm1': 'layernorm_before',
    'norm2': 'layernorm_after',
    'attn.proj': 'attention.output.dense',
    'mlp.fc1': 'intermediate.dense',
    'mlp.fc2': 'output.dense',
    **{f'attn.{part}': f'attention.attention.{part}' for part in _QKV},
}

#: layout -> part -> its names. A layout without a part cannot hold it. Parts are tried in this order, so that an
#: encoder without prefix gets what is left.
LAYOUTS: dict[str, dict[str, Names]] = {
    'mae_transfer': dict(
        head=Names('', _HEAD), decoder=Names('decoder.', {}, 'blocks'), encoder=Names('vit.', {}, 'blocks')
    ),
    'official': dict(
        head=Names('', _HEAD), decoder=Names('', _DECODER, 'decoder_blocks'), encoder=Names('', {}, 'blocks')
    ),
    'timm': dict(head=Names('', _HEAD), encoder=Names('', {}, 'blocks')),
    'mmpretrain': dict(
        # After average pooling mmpretrain norms with ln2 of the backbone, where others have fc_norm.
        head=Names('', {'head': 'head.layers.head', 'fc_norm': 'backbone.ln2'}),
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

#: The parameters of an MAE; models of official code, mmpretrain and transformers have no others.
_PARAMETERS = re.compile(
    r'(cls_token|mask_token|pos_embed'
    r'|(patch_embed\.proj|embed|norm|pred|head|fc_norm)\.(weight|bias)'
    r'|blocks\.\d+\.(norm[12]|attn\.(qkv|query|key|value|proj)|mlp\.fc[12])\.(weight|bias))'
)

_SPELLINGS = (
    'official: blocks.0.*; timm: blocks.0.*; mmpretrain: backbone.layers.0.*; hf: vit.encoder.layer.0.* or '
    'vit.layers.0.*; mae_transfer: vit.blocks.0.* or backbone.blocks.0.*'
)


def strip_wrappers(state: State) -> dict[str, Tensor]:
    """Without the ``module.`` of data parallelism and the ``_orig_mod.`` of ``torch.compile``, where all names have
    it."""
    state = dict(state)
    while state and (
        prefix := next((p for p in ('module.', '_orig_mod.') if all(n.startswith(p) for n in state)), None)
    ):
        state = {name[len(prefix) :]: value for name, value in state.items()}
    return state


def detect_layout(state: State) -> str:
    """Which of :data:`LAYOUTS` the names follow.

    An encoder alone is spelt alike by the official code, by timm and by our own ViT: all are 'timm'.

    Raises:
        CheckpointError: none of them; names the first few keys and what is known.
    """

    def has(pattern: str) -> bool:
        return any(re.match(pattern, name) for name in state)

    if has(r'(vit\.)?embeddings\.patch_embeddings\.projection\.'):
        return 'hf'
    if has(r'(backbone\.)?layers\.\d+\.ln1\.') and has(r'(backbone\.)?patch_embed\.projection\.'):
        return 'mmpretrain'
    if has(r'(vit|backbone)\.(blocks\.\d+|patch_embed\.proj)\.'):
        return 'mae_transfer'
    if has(r'blocks\.\d+\.') or has(r'patch_embed\.proj\.'):
        return 'official' if has('decoder_') else 'timm'
    found = ', '.join(list(state)[:4]) or 'nothing'
    raise CheckpointError(f'no ViT in the weights: found names {found} ({len(state)} in all); known are {_SPELLINGS}')


def to_canonical(state: State, layout: str | None = None) -> tuple[dict, dict | None, dict, list[str]]:
    """Carry weights of any known layout to canonical names. Values are the same tensors, but for fused qkv and layer
    scale.

    Args:
        state: flat dictionary of weights.
        layout: its layout; detected where it is None.

    Returns:
        encoder; decoder, or None where there is none; classification head (often empty); names of everything else.

    Raises:
        CheckpointError: unknown layout; query, key and value not all there; two names for one parameter.
    """
    state = strip_wrappers(state)
    layout = layout or detect_layout(state)
    parts: dict[str, dict] = dict(encoder={}, decoder={}, head={})
    other = []
    is_backbone = layout == 'mmpretrain' and not any(name.startswith('backbone.') for name in state)
    for name, value in state.items():
        if layout == 'hf':
            name = _old_hf_name(name)
        elif layout == 'mae_transfer':
            name = re.sub(r'^backbone\.', 'vit.', name)  # of our detectors, segmentors and classifiers
        if name.endswith('.relative_position_index'):  # of BEiT and mmseg: no weight, it follows from the grid
            other.append(name)
            continue
        part, canonical = _place(f'backbone.{name}' if is_backbone else name, layout)
        if part is None:
            other.append(name)
        elif canonical in parts[part]:
            raise CheckpointError(f"two weights for {part} '{canonical}' of layout {layout}: '{name}' is the second")
        else:
            parts[part][canonical] = value
    for part in ('encoder', 'decoder'):
        parts[part] = _fold_layer_scale(_fuse_qkv(parts[part]))
    return parts['encoder'], parts['decoder'] or None, parts['head'], other


def from_canonical(encoder: State, decoder: State | None, layout: str, head: State | None = None) -> dict[str, Tensor]:
    """The inverse of :func:`to_canonical`.

    Args:
        encoder, decoder, head: canonical names.
        layout: one of :data:`LAYOUTS`.

    Returns:
        Flat dictionary in that layout.

    Raises:
        CheckpointError: the layout is unknown, or has no place for a part or a parameter that was given.
    """
    if layout not in LAYOUTS:
        raise CheckpointError(f"unknown layout '{layout}': choose one of {', '.join(LAYOUTS)}")
    state = {}
    for part, weights in dict(encoder=encoder, decoder=decoder, head=head).items():
        if not weights:
            continue
        if part not in LAYOUTS[layout]:
            raise CheckpointError(f'layout {layout} has no place for a {part} ({len(weights)} weights): leave it out')
        weights = _split_qkv(weights) if layout == 'hf' else weights
        for name, value in weights.items():
            if layout not in ('mae_transfer', 'timm') and not _PARAMETERS.fullmatch(name):
                raise CheckpointError(f"layout {layout} has no place for {part} '{name}'")
            state[LAYOUTS[layout][part].from_canonical(name)] = value
    return state


def _place(name: str, layout: str) -> tuple[str | None, str]:
    """(part, canonical name) of one name; the part is None for what belongs to none of encoder, decoder and head."""
    if layout == 'hf' and name.startswith('vit.pooler.'):
        return None, name  # a layer of ViTModel behind the class token; MAE has none
    for part, names in LAYOUTS[layout].items():
        if part == 'encoder' or names.prefix:
            is_mine = name.startswith(names.prefix)
        else:
            is_mine = names.knows(name)
        if is_mine:
            return part, names.to_canonical(name[len(names.prefix) :])
    return None, name


def _old_hf_name(name: str) -> str:
    """Any spelling of transformers -> that of the files on the Hub.

    Release 5 renamed the modules in memory (``layers.0.attention.q_proj``), and writes files whose encoder is spelt as
    before but whose decoder is spelt ``decoder.decoder_encoder.layer.0``. A bare ViTMAEModel has no ``vit.``.
    """
    if re.match(r'(embeddings|encoder|layers|layernorm|pooler)\.', name):
        name = f'vit.{name}'
    name = re.sub(r'^vit\.layers\.', 'vit.encoder.layer.', name)
    name = re.sub(r'^decoder\.decoder_encoder\.layer\.', 'decoder.decoder_layers.', name)
    for part in _QKV:
        name = re.sub(rf'\.attention\.{part[0]}_proj\.', f'.attention.attention.{part}.', name)
        name = re.sub(rf'(?<!\.attention)\.attention\.{part}\.', f'.attention.attention.{part}.', name)
    name = name.replace('.attention.o_proj.', '.attention.output.dense.')
    return name.replace('.mlp.fc1.', '.intermediate.dense.').replace('.mlp.fc2.', '.output.dense.')


def _fuse_qkv(weights: State) -> dict[str, Tensor]:
    """``attn.query``, ``.key``, ``.value`` -> one ``attn.qkv``, rows in that order; in the place of the first."""
    fused = {}
    for name, value in weights.items():
        match = re.fullmatch(r'(blocks\.\d+\.attn\.)(query|key|value)(\.\w+)', name)
        if match is None:
            fused[name] = value
            continue
        whole = f'{match[1]}qkv{match[3]}'
        if whole not in fused:
            names = [f'{match[1]}{part}{match[3]}' for part in _QKV]
            if absent := [n for n in names if n not in weights]:
                raise CheckpointError(f"'{name}' is there but '{absent[0]}' is not: query, key and value come together")
            fused[whole] = torch.cat([weights[n] for n in names])
    return fused


def _fold_layer_scale(weights: State) -> dict[str, Tensor]:
    """``gamma_1`` and ``gamma_2`` of a block (BEiT; mmseg's MAE, ones at the start) -> into the map before: the same
    outputs."""
    folded = dict(weights)
    for name in weights:
        if match := re.fullmatch(r'(blocks\.\d+\.)gamma_([12])', name):
            scale, last = folded.pop(name), match[1] + ('attn.proj', 'mlp.fc2')[int(match[2]) - 1]
            if absent := [n for n in (f'{last}.weight', f'{last}.bias') if n not in weights]:
                raise CheckpointError(f"'{name}' scales '{absent[0]}', which is not there")
            if not (scale == 1).all():
                folded[f'{last}.weight'] = scale[:, None] * weights[f'{last}.weight']
                folded[f'{last}.bias'] = scale * weights[f'{last}.bias']
    return folded


def _split_qkv(weights: State) -> dict[str, Tensor]:
    """The inverse of :func:`_fuse_qkv`."""
    split = {}
    for name, value in weights.items():
        match = re.fullmatch(r'(blocks\.\d+\.attn\.)qkv(\.\w+)', name)
        if match is None:
            split[name] = value
        else:
            split.update({f'{match[1]}{part}{match[2]}': rows for part, rows in zip(_QKV, value.chunk(3))})
    return split
