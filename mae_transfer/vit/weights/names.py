"""A table of names: how one layout calls the weights of a part of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


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
