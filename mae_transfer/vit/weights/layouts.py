"""How the libraries name the weights of an MAE, and conversion of state dicts between these layouts.

Every layout is converted to and from canonical names: timm's for the encoder (``cls_token``, ``pos_embed``,
``patch_embed.proj.weight``, ``blocks.3.attn.qkv.weight``, ``norm.weight``) and the classification head
(``head.weight``, ``fc_norm.weight``; ``head_norm.running_mean`` in our linear probes), and for the decoder ours without
the prefix ``decoder.`` (``mask_token``, ``pos_embed``, ``embed.weight``, ``blocks.0.mlp.fc1.bias``, ``norm.bias``,
``pred.weight``).

The layouts are in :mod:`~mae_transfer.vit.weights.layout_table`. Unknown names within an encoder (layer
scale, register tokens) are kept unchanged, so that loading fails on them: dropping them would silently load another
model. What lies beside it (:func:`~mae_transfer.vit.weights.names.is_of_vit`), such as any head, is other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...errors import CheckpointError
from .head import fold_head_norm, why_no_head
from .layout_table import LAYOUTS, Layout
from .merged_weights import canonical_form, fold_layer_scale, fuse_qkv, split_qkv, with_full_qkv_bias
from .names import is_of_vit
from .peers import PEERS
from .peers.timm import to_vision_transformer
from .roots import Root, detect_layout, find_root, strip_wrappers
from .stand_ins import StandIn

__all__ = ['LAYOUTS', 'detect_layout', 'from_canonical', 'to_canonical']

State = Mapping[str, Tensor]

#: Canonical names of an MAE's parameters, the only ones in models of official code, mmpretrain and transformers.
_PARAMETER_NAME = re.compile(
    r'(cls_token|mask_token|pos_embed'
    r'|(patch_embed\.proj|embed|norm|pred|head|fc_norm)\.(weight|bias)'
    r'|blocks\.\d+\.(norm[12]|attn\.(qkv|query|key|value|proj)|mlp\.fc[12])\.(weight|bias))'
)


def to_canonical(state: Mapping[str, Any], root: Root | None = None) -> tuple[dict, dict | None, dict, list[str]]:
    """Convert weights of any known layout to canonical names. The tensors are the same, except for those that one
    layout fuses and another does not (:func:`~mae_transfer.vit.weights.merged_weights.canonical_form`).

    Args:
        state: flat dictionary of weights; of objects that were not read it may hold stand-ins.
        root: where the ViT is; None for the only one.

    Returns:
        The encoder; the decoder, or None; the classification head (often empty); the names of all other weights, below
        the model's prefix.

    Raises:
        CheckpointError: an unknown layout; query, key or value is missing; two names for one parameter; one of the
            weights was not read.
    """
    if root is None:
        state = strip_wrappers(state)
        root = find_root(state)
    if root.layout in PEERS:
        return _peer_to_canonical(state, root)
    layout = LAYOUTS[root.layout]
    parts: dict[str, dict] = dict(encoder={}, decoder={}, head={})
    spelled_by: dict[str, dict[str, str]] = dict(encoder={}, decoder={}, head={})
    other = [name for name in state if not name.startswith(root.model)]
    names = _respell([name for name in state if name.startswith(root.model)], root)
    for name, spelled in names.items():
        part, canonical = _assign(spelled, layout)
        if part is None:
            other.append(name.removeprefix(root.model))
        elif canonical in parts[part]:
            raise CheckpointError(
                f"two weights for {part} '{canonical}' of layout {root.layout}: '{name}' is the second"
            )
        else:
            parts[part][canonical], spelled_by[part][canonical] = state[name], name.removeprefix(root.model)
    outside = [name for name in parts['encoder'] if not is_of_vit(name, parts['encoder'])]
    for name in outside:
        del parts['encoder'][name]
    other += [spelled_by['encoder'][name] for name in outside]
    # A module of the same name in another model: a SimMIM's decoder, say, is one layer. A head after a layer of its own
    # (``pre_logits``) is no classifier of the ViT's features.
    if not any(name.startswith('blocks.') for name in parts['decoder']):
        other += spelled_by['decoder'].values()
        parts['decoder'] = {}
    if any(name.startswith('pre_logits.') for name in other):
        other += spelled_by['head'].values()
        parts['head'] = {}
    for part, weights in parts.items():
        _check_read({spelled_by[part][name]: value for name, value in weights.items()})
    parts['encoder'], parts['decoder'] = canonical_form(parts['encoder']), fuse_qkv(parts['decoder'])
    return parts['encoder'], parts['decoder'] or None, parts['head'], other


def _peer_to_canonical(state: Mapping[str, Any], root: Root) -> tuple[dict, dict | None, dict, list[str]]:
    """:func:`to_canonical` for one of :data:`~mae_transfer.vit.weights.peers.PEERS`."""
    below = {name.removeprefix(root.model): value for name, value in state.items() if name.startswith(root.model)}
    _check_read({name: value for name, value in below.items() if name.startswith(root.encoder)})
    encoder, head, other = PEERS[root.layout].to_canonical(below, root.encoder)
    return encoder, None, head, [name for name in state if not name.startswith(root.model)] + other


def _check_read(weights: Mapping[str, Any]) -> None:
    """Raise ``CheckpointError`` for an object that was not read."""
    if unread := next((name for name, value in weights.items() if isinstance(value, StandIn)), None):
        raise CheckpointError(
            f"'{unread}' is no tensor but an object of {weights[unread].name}: save plain tensors where it was made"
        )


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
        if part not in LAYOUTS[layout].parts:
            raise CheckpointError(f'layout {layout} cannot store a {part} ({len(weights)} weights): leave it out')
        weights = split_qkv(weights) if layout == 'hf' else weights
        for name, value in weights.items():
            if layout not in ('mae_transfer', 'timm') and not _PARAMETER_NAME.fullmatch(name):
                raise CheckpointError(f"layout {layout} cannot store '{name}' of the {part}")
            state[LAYOUTS[layout].parts[part].from_canonical(name)] = value
    return state


def has_first_block(state: Mapping[str, Any], root: Root) -> bool:
    """Whether the ViT at ``root`` has a block 0."""
    if root.layout in PEERS:
        return PEERS[root.layout].has_first_block(name.removeprefix(root.prefix) for name in state)
    names = _respell([name for name in state if name.startswith(root.prefix)], root).values()
    return any(_assign(name, LAYOUTS[root.layout])[1].startswith('blocks.0.') for name in names)


def _respell(names: list[str], root: Root) -> dict[str, str]:
    """Each of a model's names, and its name in the files that the layout is written for, without the prefix."""
    layout, spelled = LAYOUTS[root.layout], {}
    below = {name: name.removeprefix(root.model) for name in names}
    # The head of the official linear probe: Sequential(BatchNorm1d, Linear).
    is_probe = 'head.0.running_mean' in below.values()
    for name, short in below.items():
        if short.startswith(root.encoder):
            short = layout.encoder.prefix + short.removeprefix(root.encoder)
        for pattern, replacement in layout.spellings:
            short = re.sub(pattern, replacement, short)
        if is_probe:
            short = re.sub(r'^head\.([01])\.', lambda match: 'head.' if match[1] == '1' else 'head_norm.', short)
        spelled[name] = short
    return spelled


def _assign(name: str, layout: Layout) -> tuple[str | None, str]:
    """The part that a name belongs to and its canonical name; None and the name itself if it belongs to no part."""
    if name.endswith('.relative_position_index'):  # in BEiT and mmseg: not a weight, the grid determines it
        return None, name
    for part, names in layout.parts.items():
        if part == 'encoder' or names.prefix:
            belongs = name.startswith(names.prefix)
        else:
            belongs = names.contains(name)
        if belongs:
            return part, names.to_canonical(name.removeprefix(names.prefix))
    return None, name
