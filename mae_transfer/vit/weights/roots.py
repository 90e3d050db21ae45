"""Where ViTs are among the names of weights, below any prefix: a layout is told by its name of the patch embedding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...errors import CheckpointError
from .layout_table import LAYOUTS
from .names import looks_like
from .peers import PEERS

#: What wrappers put into names, anywhere: torch.compile, FSDP and checkpointed activations.
_WRAPPERS = re.compile(r'(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')


#: A ViT of ours may have the names of a peer's (``attn.q_bias``); with nothing but its own below these it is ours.
_OWN_PREFIXES = (LAYOUTS['mae_transfer'].encoder.prefix, *LAYOUTS['mae_transfer'].also)
_OWN_NAME = re.compile(
    r'(cls_token|reg_token|pos_embed|rel_pos_(global|window)|(patch_embed\.proj|norm|norm_pre)\.(weight|bias)'
    r'|blocks\.\d+\.(ls[12]\.gamma|norm[12]\.(weight|bias)|mlp\.(fc1|fc1_g|fc1_x|fc2|norm)\.(weight|bias)'
    r'|attn\.([qv]_bias|rel_pos_[hw]|relative_position_\w+|(qkv|q_norm|k_norm|norm|proj)\.(weight|bias))))$'
)


class Root(NamedTuple):
    """Where a ViT is among the names of a dictionary.

    Attributes:
        layout: a key of :data:`LAYOUTS` or :data:`~mae_transfer.vit.weights.peers.PEERS`.
        model: prefix of all names of the model that the ViT is a part of.
        encoder: prefix of the ViT's names after that.
    """

    layout: str
    model: str
    encoder: str

    @property
    def prefix(self) -> str:
        """What precedes the ViT's names."""
        return self.model + self.encoder


def strip_wrappers(state: Mapping[str, Any]) -> dict[str, Any]:
    """Remove what ``torch.compile`` and FSDP put into names; and ``module.``, of data parallelism, if all have it."""
    state = {_WRAPPERS.sub('', name): value for name, value in state.items()}
    while state and all(name.startswith('module.') for name in state):
        state = {name.removeprefix('module.'): value for name, value in state.items()}
    return state


def find_roots(names: Iterable[str]) -> list[Root]:
    """All ViTs among the names of weights: wherever some layout's name of the patch embedding is."""
    names, roots = list(names), {}
    for name in names:
        prefix = name.removesuffix('patch_embed.proj.weight')
        own = next((p for p in _OWN_PREFIXES if prefix == p or prefix.endswith(f'.{p}')), None)
        inner = [n.removeprefix(prefix) for n in names if n.startswith(prefix)]
        if own and prefix != name and all(map(_OWN_NAME.match, inner)):
            roots[prefix] = Root('mae_transfer', prefix.removesuffix(own), own)
    for key, peer in PEERS.items():
        patches = peer.encoder.from_canonical('patch_embed.proj.weight').removeprefix(peer.encoder.prefix)
        for prefix in [name.removesuffix(patches) for name in names if name.endswith(patches)]:
            if (not prefix or prefix.endswith('.')) and prefix not in roots and peer.is_below(prefix, names):
                model = peer.model_prefix(prefix)
                roots[prefix] = Root(key, model, prefix.removeprefix(model))
    for key, layout in LAYOUTS.items():
        patches = layout.encoder.from_canonical('patch_embed.proj.weight').removeprefix(layout.encoder.prefix)
        for name in names:
            prefix = name.removesuffix(patches)
            if prefix == name or (prefix and not prefix.endswith('.')) or prefix in roots:
                continue
            known = (layout.encoder.prefix, *layout.also)
            own = next((p for p in known if not p or prefix == p or prefix.endswith(f'.{p}')), None)
            if own is None:
                continue
            model = prefix.removesuffix(own) if own else prefix
            if not layout.marks or any(
                re.match(layout.marks, n.removeprefix(model)) for n in names if n.startswith(model)
            ):
                roots[prefix] = Root(key, model, own)
    return list(roots.values())


def find_root(state: Mapping[str, Any]) -> Root:
    """The place of the only ViT in a dictionary of weights.

    Raises:
        CheckpointError: there is none, or several.
    """
    roots = find_roots(state)
    if not roots:
        raise CheckpointError(f'no ViT in the weights: {describe_names(state)}')
    if len(roots) > 1:
        places = ', '.join(f"'{root.prefix}'" for root in roots)
        raise CheckpointError(f'{len(roots)} ViTs in the weights: {places}')
    return roots[0]


def detect_layout(state: Mapping[str, Any]) -> str:
    """The layout that the names follow, a key of :data:`LAYOUTS` or of :data:`~mae_transfer.vit.weights.peers.PEERS`;
    raises as :func:`find_root`.

    The official code, timm and our own ViT use the same names for an encoder without decoder: the layout is then
    'timm'.
    """
    return find_root(state).layout


def describe_names(names: Iterable[str]) -> str:
    """What names of weights are, if not a ViT's: some of them, how many there are, and the known layouts' own."""
    names = list(names)
    kind = f', as of {kind}' if (kind := looks_like(names)) else ''
    return f'found names {", ".join(names[:4]) or "nothing"} ({len(names)} in all){kind}; {known_names()}'


def known_names() -> str:
    """The known layouts, for a message."""
    blocks = [f'{key}: {layout.encoder.prefix}{layout.encoder.blocks}.0.*' for key, layout in LAYOUTS.items()]
    return f'known are, also below a prefix, {"; ".join(blocks)}'
