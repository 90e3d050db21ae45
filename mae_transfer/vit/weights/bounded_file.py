"""A file whose reader may believe any length that stands in it."""

from __future__ import annotations

import os
from typing import BinaryIO


class BoundedFile:
    """A file of which no more is asked than it has: Python takes the memory for a length before it reads.

    Args:
        file: open for reading, at any place.
    """

    def __init__(self, file: BinaryIO):
        self._file, self.readline = file, file.readline
        place = file.tell()
        self._size = file.seek(0, os.SEEK_END)
        file.seek(place)

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; all that are left for -1."""
        return self._file.read(min(size, self._size))
