"""Folders that are read ahead by threads: a network disk takes milliseconds for each, however few files it has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

#: Threads that read, and the most folders that are read before they are needed.
_THREADS, MOST_AHEAD = 16, 32

#: A file or folder, whatever path leads to it: its device and inode.
Identity = tuple[int, int]


def identity(path: str | os.PathLike) -> Identity:
    """Device and inode of the file or folder that a path, or the link there, leads to; raises ``OSError``."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Folder:
    """A folder that was read.

    Attributes:
        identity: its device and inode.
        read: its entries, or why it cannot be read.
    """

    identity: Identity
    read: list[os.DirEntry] | OSError

    def entries(self) -> list[os.DirEntry]:
        """Its entries; raises ``OSError`` if it cannot be read."""
        if isinstance(self.read, OSError):
            raise self.read
        return self.read


def read_folder(path: str) -> Folder:
    """Read a folder; raises ``OSError`` if it is not there."""
    found = identity(path)
    try:
        with os.scandir(path) as entries:
            return Folder(found, list(entries))
    except OSError as error:
        return Folder(found, error)


class FoldersAhead:
    """Reads folders before they are needed. A context manager; the threads end with it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS)
        self._begun: dict[str, Future[Folder]] = {}

    def __enter__(self) -> FoldersAhead:
        return self

    def __exit__(self, *_: Any) -> None:
        self._threads.shutdown(cancel_futures=True)

    def read(self, paths: Iterable[str]) -> None:
        """Begin to read folders; those that are begun are not read again."""
        for path in paths:
            if path not in self._begun:
                self._begun[path] = self._threads.submit(read_folder, path)

    def take(self, path: str) -> Folder:
        """A folder, once it is read; raises ``OSError`` if it is not there."""
        begun = self._begun.pop(path, None)
        return begun.result() if begun is not None else read_folder(path)
