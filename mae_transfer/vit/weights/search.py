"""Which of the ViTs in a file is taken: weights lie below any key and any prefix, often in several copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...errors import CheckpointError, shorten
from .jax_names import is_jax, jax_to_timm
from .layouts import has_first_block
from .names import looks_like
from .roots import Root, describe_names, find_roots, known_names, strip_wrappers
from .stand_ins import StandIn

#: (taken, not taken): of two copies whose places differ in these words. MMEngine and timm, official code, DeepSpeed;
#: I-JEPA, DINO, MoCo and MoCo v3 evaluate the former themselves.
_PREFERENCES = (
    *(('state_dict', 'model'), ('state_dict', 'module'), ('model', 'module')),
    *(('teacher', 'student'), ('target_encoder', 'encoder'), ('encoder_q', 'encoder_k')),
    ('base_encoder', 'momentum_encoder'),
)
#: Words in the name of an average of the weights, which is taken where there is nothing else.
_AVERAGES = ('ema', 'momentum', 'swa')
_DEEPEST = 6  # nested dictionaries; optimizers and configs nest, too


#: Keys, weights by name, and whether the names were those of JAX.
_Dictionary = tuple[tuple[str, ...], dict[str, Any], bool]


class Found(NamedTuple):
    """A ViT in a file.

    Attributes:
        keys: of the dictionary that holds its weights.
        root: where it is among the dictionary's names.
        state: the whole dictionary.
        is_jax: whether its names were those of JAX.
    """

    keys: tuple[str, ...]
    root: Root
    state: dict[str, Any]
    is_jax: bool = False

    @property
    def path(self) -> list[str]:
        """Keys and prefix, in parts."""
        return [part for part in (*'.'.join(self.keys).split('.'), *self.root.prefix.split('.')) if part]

    def __str__(self) -> str:
        return '.'.join(self.path) or 'the top'

    @property
    def has_blocks(self) -> bool:
        """Whether it has a first block."""
        return has_first_block(self.state, self.root)


def find_vit(stored: Mapping, weights_key: str | None = None) -> tuple[Found, list[Found]]:
    """The ViT of a file, and the others in it.

    Args:
        stored: the file's content.
        weights_key: which one: keys and prefix, or a part of them, such as 'state_dict_ema' or 'student.backbone'.

    Raises:
        CheckpointError: there is none, or none at ``weights_key``; several, of which none is to be preferred.
    """
    dictionaries = list(_dictionaries(stored))
    found = [Found(keys, root, state, jax) for keys, state, jax in dictionaries for root in find_roots(state)]
    if not found:
        raise CheckpointError(f'no ViT in the weights: {_describe(dictionaries)}')
    found = [one for one in found if one.has_blocks] or found
    wanted = found
    if weights_key is not None:
        words = str(weights_key).strip('.').split('.')
        wanted = [one for one in found if any(one.path[i : i + len(words)] == words for i in range(len(one.path)))]
        if not wanted:
            raise CheckpointError(
                f"no ViT at weights_key='{weights_key}': the file has {shorten(map(str, found), 8)}"
                + (': leave weights_key out' if len(found) == 1 else '')
            )
    best = [one for one in wanted if not any(_is_preferred(other, one) for other in wanted)]
    if len(best) > 1:
        raise CheckpointError(
            f'{len(best)} ViTs in the file, at {shorten(map(str, best), 8)}: choose one by '
            f"weights_key='{best[0]}', in a config as model.vit.init_cfg.weights_key (for detection and segmentation "
            'model.backbone.init_cfg.weights_key), or write it alone by tools/convert_checkpoint.py --weights-key'
        )
    return best[0], [one for one in found if one is not best[0]]


def describe_choice(taken: Found, others: list[Found]) -> list[str]:
    """What a user should know of it: lines for a report."""
    lines = []
    if others:
        names = shorten(map(str, others), 8)
        lines.append(f"taken: '{taken}'; also in the file: {names} (weights_key='{others[0]}' takes that)")
    if taken.is_jax:
        lines.append('names of JAX, with its order of axes')
    if taken.root.model:
        lines.append(f"names: below '{taken.root.prefix}'")
    return lines


def _is_preferred(one: Found, other: Found) -> bool:
    """Whether ``one`` is taken where ``other`` is there, too."""
    first, second = list(one.path), list(other.path)
    while first and second and first[0] == second[0]:
        first, second = first[1:], second[1:]
    while first and second and first[-1] == second[-1]:
        first, second = first[:-1], second[:-1]
    words, others = (set(parts) | {w for part in parts for w in part.split('_')} for parts in (first, second))
    if (average := others.intersection(_AVERAGES)) or words.intersection(_AVERAGES):
        return bool(average) and not words.intersection(_AVERAGES)
    return any(taken in words and left in others for taken, left in _PREFERENCES)


def _dictionaries(stored: Any, keys: tuple[str, ...] = ()) -> Iterator[_Dictionary]:
    """Every dictionary in ``stored`` that holds tensors; what was no tensor is left out."""
    if isinstance(stored, StandIn):
        stored = stored.module_weights() if stored.is_module else stored.entries
    if not isinstance(stored, Mapping) or len(keys) > _DEEPEST:
        return
    weights = {name: _as_tensor(value) for name, value in stored.items() if isinstance(name, str)}
    weights = {name: value for name, value in weights.items() if value is not None}
    if jax := is_jax(weights):
        weights = jax_to_timm(weights)
    if any(isinstance(value, Tensor) for value in weights.values()) or find_roots(weights):
        yield keys, strip_wrappers(weights), jax
    for name, value in stored.items():
        if isinstance(name, str):
            yield from _dictionaries(value, (*keys, name))


def _as_tensor(value: Any) -> Tensor | StandIn | None:
    """A weight, whatever library stored it; None for what is none."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, StandIn):
        return None if value.entries or value.is_module else value
    if not isinstance(value, np.ndarray):
        return None
    if value.dtype.kind not in 'biuf':  # bfloat16 of JAX has no number type of NumPy
        return StandIn(f'NumPy of type {value.dtype}') if value.dtype.kind == 'V' else None
    native = value.dtype.newbyteorder('=')
    return torch.from_numpy(np.require(value, dtype=native, requirements=['C', 'W', 'A']))


def _describe(dictionaries: list[_Dictionary]) -> str:
    """What a file without a ViT holds, and what would be one."""
    names = [name for _, state, _ in dictionaries for name in state]
    if len(dictionaries) < 2:
        return describe_names(names)
    kind = f', as of {kind}' if (kind := looks_like(names)) else ''
    places = [
        f"'{'.'.join(keys) or 'the top'}' ({len(state)}, e.g. {next(iter(state))})" for keys, state, _ in dictionaries
    ]
    return f'tensors are below {shorten(places)}{kind}; {known_names()}'
