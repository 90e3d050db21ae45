"""Millions of file names that worker processes share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np


class FileNames(Sequence[str]):
    """File names in one block of bytes.

    Of millions of ``str`` objects each worker process would get its own copy in time, because reading them changes
    their reference counts.

    Args:
        names: kept as they are stored, also where they are not UTF-8.
    """

    def __init__(self, names: Iterable[str]):
        encoded = [os.fsencode(name) for name in names]
        self._text = b''.join(encoded)
        self._ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return os.fsdecode(self._text[self._ends[place - 1] if place else 0 : self._ends[place]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
