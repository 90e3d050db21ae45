"""Embeddings that are written in parts, so that a run that was killed goes on at the part where it stood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from ..errors import UserError
from ..outputs import output_folder
from ..paths import shown
from ..whole_files import PART, written_whole

_MADE_BY, _DIGITS = 'made_by.json', '[0-9]' * 6


class Part(NamedTuple):
    """The embeddings of some images that follow each other.

    Attributes:
        indices: (n,) int64, numbers of the images.
        values: (n, D) float32.
        skipped: (s,) text, unreadable images with their reasons.
    """

    indices: np.ndarray
    values: np.ndarray
    skipped: np.ndarray


class Parts:
    """The folder of the parts of one run, beside the file that they will make.

    Args:
        out: that file.
        made_by: all that decides about the values: parts that were made by something else are not taken.
        resume: whether parts of an earlier run are kept.

    Raises:
        UserError: there are parts that something else made, with ``resume``; the folder cannot be written to.
    """

    def __init__(self, out: Path, made_by: Mapping[str, Any], resume: bool) -> None:
        self.folder = out.with_name(f'{out.name}.parts')
        stated = self.folder / _MADE_BY
        wanted = json.loads(json.dumps(made_by))  # as it comes back from a file
        if not resume:
            self.remove()
        if stated.exists():
            found = _read(stated)
            if differing := sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key)):
                raise UserError(
                    f"'{shown(self.folder)}' holds parts of another run, with other {' and '.join(differing)}: give "
                    'another out, or resume=False to begin again'
                )
        output_folder(self.folder, 'out')
        if not stated.exists():
            with written_whole(stated) as file:
                file.write(json.dumps(wanted, sort_keys=True).encode())

    def _path(self, number: int) -> Path:
        return self.folder / f'{number:06d}.npz'

    def has(self, number: int) -> bool:
        """Whether a part is there."""
        return self._path(number).is_file()

    def write(self, number: int, part: Part) -> None:
        """Store a part: it is there whole, or not at all."""
        with written_whole(self._path(number)) as file:
            np.savez(file, **part._asdict())

    def read(self, number: int) -> Part:
        """A part that was stored; raises ``UserError`` if its file is damaged."""
        path = self._path(number)
        try:
            with np.load(path, allow_pickle=False) as file:
                return Part(*(file[name] for name in Part._fields))
        except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
            raise UserError(f"'{shown(path)}' is damaged: delete it, and it is made again") from error

    def remove(self) -> None:
        """Delete the parts, and the folder unless something else is in it."""
        for file in (*self.folder.glob(f'{_DIGITS}.npz'), *self.folder.glob(f'*{PART}'), self.folder / _MADE_BY):
            file.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding='utf-8'))
    except (OSError, ValueError):  # a file of that name that is not ours
        return {}
    return found if isinstance(found, dict) else {}
