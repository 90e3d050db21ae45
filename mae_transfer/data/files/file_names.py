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

    Attributes:
        text: the names of N files, one after the other.
        ends: (N,) int64, where each one ends.
    """

    def __init__(self, names: Iterable[str]):
        encoded = [os.fsencode(name) for name in names]
        self.text = b''.join(encoded)
        self.ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)

    @classmethod
    def of_block(cls, text: bytes, ends: np.ndarray) -> FileNames:
        """The names of a block with these attributes."""
        names = cls(())
        names.text, names.ends = text, ends
        return names

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return os.fsdecode(self.text[self.ends[place - 1] if place else 0 : self.ends[place]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
