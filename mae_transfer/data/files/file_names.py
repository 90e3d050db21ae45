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

    @classmethod
    def joined(cls, parts: Iterable[tuple[str, FileNames]]) -> FileNames:
        """The names of several blocks, one after the other, those of each with a text before them."""
        texts: list[bytes] = []
        lengths: list[np.ndarray] = [np.zeros(0, np.int64)]
        for before, names in parts:
            prefix = os.fsencode(before)
            texts.append((prefix + prefix.join(names.encoded()) if prefix else names.text) if len(names) else b'')
            lengths.append(np.diff(names.ends, prepend=0) + len(prefix))
        return cls.of_block(b''.join(texts), np.cumsum(np.concatenate(lengths)))

    def encoded(self, skip: np.ndarray | int = 0) -> list[bytes]:
        """The names as bytes.

        Args:
            skip: so many bytes of each are left out at its beginning; one number, or (N,).
        """
        begins = np.append(0, self.ends[:-1]) + skip if len(self) else self.ends
        return [self.text[begin:end] for begin, end in zip(begins.tolist(), self.ends.tolist())]

    def select(self, places: Sequence[int] | np.ndarray) -> FileNames:
        """Some of the names."""
        chosen, ends = np.asarray(places, np.int64), np.append(self.ends, 0)  # the last is before the first
        stops, starts = ends[chosen], ends[chosen - 1]
        text = b''.join([self.text[start:stop] for start, stop in zip(starts.tolist(), stops.tolist())])
        return self.of_block(text, np.cumsum(stops - starts))

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
