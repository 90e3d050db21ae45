"""The names that a layout has for a part of a model; which names are of a ViT, and what others look like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..position_tables import is_rel_pos_table

#: Where the canonical names of a ViT begin; those of transformers' that have no canonical name lie in its last two.
_OF_VIT = ('blocks', 'patch_embed', 'cls_token', 'pos_embed', 'norm', 'encoder', 'embeddings')
#: What networks that are no plain ViTs have in their names.
_OTHERS = (
    (r'(^|\.)layers\.\d+\.blocks\.\d+\.', 'a ViT in stages, such as Swin'),
    (r'(^|\.)stages\.\d+\.', 'a network in stages, such as ConvNeXt'),
    (r'(^|\.)layer[1-4]\.\d+\.(conv|bn)\d', 'a ResNet'),
    (r'(^|\.)(word|token)_embed', 'a language model'),
    (r'(^|\.)(bn|conv)\d*\.', 'a convolutional network'),
)


@dataclass(frozen=True)
class Names:
    """The names of one layout for one part (encoder, decoder or head) of a model.

    Args:
        prefix: precedes every name of the part.
        modules: canonical name of a module or parameter -> this layout's, without the prefix; all others are the same.
        blocks: precedes the number of a block, after the prefix; None if the part has no blocks.
        inside: canonical name of a module within a block -> this layout's.
    """

    prefix: str
    modules: Mapping[str, str]
    blocks: str | None = None
    inside: Mapping[str, str] = field(default_factory=dict)

    def contains(self, name: str) -> bool:
        """Whether a name, without prefix, is one of this part's: of a block or listed in ``modules``."""
        if self.blocks is not None and name.startswith(f'{self.blocks}.'):
            return True
        return name in self.modules.values() or name.rpartition('.')[0] in self.modules.values()

    def to_canonical(self, name: str) -> str:
        """The canonical name of a name without prefix."""
        if self.blocks and (match := re.fullmatch(re.escape(self.blocks) + r'\.(\d+)\.(.+)', name)):
            return f'blocks.{match[1]}.{_rename(match[2], _invert(self.inside))}'
        return _rename(name, _invert(self.modules))

    def from_canonical(self, name: str) -> str:
        """The inverse of :meth:`to_canonical`, including the prefix."""
        if match := re.fullmatch(r'blocks\.(\d+)\.(.+)', name):
            return f'{self.prefix}{self.blocks}.{match[1]}.{_rename(match[2], self.inside)}'
        return self.prefix + _rename(name, self.modules)


def _invert(table: Mapping[str, str]) -> dict[str, str]:
    return {value: key for key, value in table.items()}


def _rename(name: str, table: Mapping[str, str]) -> str:
    """Replace a name, or the part before its last dot, by its entry in the table; keep names without an entry."""
    module, dot, leaf = name.rpartition('.')
    if name in table:
        return table[name]
    if module in table:
        return table[module] + dot + leaf
    return name


def is_of_vit(name: str, encoder: Mapping[str, Any]) -> bool:
    """Whether a weight beside the blocks is a part of the ViT, rather than a head or a record that is not needed.

    Those of canonical names are; so is what the ViT's tokens would pass through or be joined with, whatever its name:
    tokens and positions (..., D), norms of D, convolutions of the image. A layer from D to something else is a head; a
    token for masked patches is used in pre-training only.

    Args:
        name: canonical.
        encoder: all weights that may be.
    """
    first, _, rest = name.partition('.')
    if name.endswith('mask_token'):
        return False
    if first in _OF_VIT or first.startswith('rope') or is_rel_pos_table(name):
        return True
    patches, module = encoder.get('patch_embed.proj.weight'), encoder.get(f'{first}.weight' if rest else name)
    if not isinstance(patches, Tensor) or patches.ndim != 4 or not isinstance(module, Tensor) or not module.ndim:
        return False
    if not rest:
        return module.shape[-1] == patches.shape[0]
    return module.shape == patches.shape[:1] or (module.ndim == 4 and module.shape[1] == patches.shape[1])


def looks_like(names: Iterable[str]) -> str:
    """What the names of weights are of, if not of a plain ViT: 'a ResNet'; '' where they do not tell."""
    names = list(names)
    return next((kind for pattern, kind in _OTHERS if any(re.search(pattern, name) for name in names)), '')
