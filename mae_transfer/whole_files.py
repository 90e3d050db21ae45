"""Files that are there whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

#: How the name of a file ends that is not written to its end yet.
PART = '.part'


@contextmanager
def written_whole(path: str | Path) -> Iterator[BinaryIO]:
    """An open file beside ``path`` that takes its name when it is on the disk, in place of one that has it.

    Whenever the process or the machine stops, ``path`` is the new file, complete, or the old one. After an error the
    unfinished file is removed.
    """
    path = Path(path)
    part = path.with_name(path.name + PART)
    try:
        with part.open('wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    keep_names(path.parent)


def keep_content(path: str | Path) -> None:
    """Bring a file that another library wrote to the disk, before it takes its name."""
    with open(path, 'rb') as file:
        os.fsync(file.fileno())


def keep_names(folder: str | Path) -> None:
    """Bring the names of the files in a folder to the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
