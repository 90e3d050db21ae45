"""Where ViTs are among the names of weights, below any prefix: a layout is told by its name of the patch embedding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...errors import CheckpointError
from .layout_table import LAYOUTS
from .names import Names, looks_like
from .peers import PEERS

#: What wrappers put into names, anywhere: torch.compile, FSDP and checkpointed activations.
_WRAPPERS = re.compile(r'(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')


#: Canonical names, which are our own.
_OURS = re.compile(
    r'(cls_token|reg_token|pos_embed|rel_pos_(global|window)|(patch_embed\.proj|norm|norm_pre)\.(weight|bias)'
    r'|blocks\.\d+\.(ls[12]\.gamma|norm[12]\.(weight|bias)|mlp\.(fc1|fc1_g|fc1_x|fc2|norm)\.(weight|bias)'
    r'|attn\.([qv]_bias|rel_pos_[hw]|relative_position_\w+|(qkv|q_norm|k_norm|norm|proj)\.(weight|bias))))$'
)


class Root(NamedTuple):
    """Where a ViT is among the names of a dictionary.

    Attributes:
        layout: a key of :data:`~mae_transfer.vit.weights.layout_table.LAYOUTS` or
            :data:`~mae_transfer.vit.weights.peers.PEERS`.
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
    """All ViTs among the names of weights: wherever some layout's name of the patch embedding is.

    A ViT whose names are all our own is ours; otherwise it is of the first peer whose landmarks it has, else of the
    first layout whose marks are there.
    """
    names, roots = list(names), {}
    for layout in ('mae_transfer', *PEERS, *LAYOUTS):
        patches = _encoder(layout).from_canonical('patch_embed.proj.weight').removeprefix(_encoder(layout).prefix)
        for name in names:
            prefix = name.removesuffix(patches)
            if prefix == name or (prefix and not prefix.endswith('.')) or prefix in roots:
                continue
            own = next((p for p in _prefixes(layout) if not p or prefix == p or prefix.endswith(f'.{p}')), None)
            if own is not None and _is_of(layout, prefix, prefix.removesuffix(own) if own else prefix, names):
                roots[prefix] = Root(layout, prefix.removesuffix(own) if own else prefix, own)
    return list(roots.values())


def _encoder(layout: str) -> Names:
    return (PEERS[layout] if layout in PEERS else LAYOUTS[layout]).encoder


def _prefixes(layout: str) -> tuple[str, ...]:
    """What may precede the names of an encoder within its model; '' last, which any name has."""
    if layout in PEERS:
        return tuple(sorted(PEERS[layout].prefixes, key=len, reverse=True))
    return (LAYOUTS[layout].encoder.prefix, *LAYOUTS[layout].also)


def _is_of(layout: str, prefix: str, model: str, names: list[str]) -> bool:
    """Whether the names below a prefix, or below that of the whole model, are those of a layout."""
    inner = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    if layout in PEERS:
        return all(any(re.match(mark, name) for name in inner) for mark in PEERS[layout].landmarks)
    if layout == 'mae_transfer' and all(map(_OURS.match, inner)):
        return True
    marks = LAYOUTS[layout].marks
    return any(re.match(marks, name.removeprefix(model)) for name in names if name.startswith(model))


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
    """The layout that the names follow; raises as :func:`find_root`.

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
