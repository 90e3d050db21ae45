"""Embeddings: the names of images, a vector for each, and what made them; in memory and in files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zipfile import BadZipFile

import numpy as np

from ..errors import UserError
from ..outputs import output_file
from ..paths import shown, user_path
from ..whole_files import written_whole

if TYPE_CHECKING:
    from typing_extensions import Self

SUFFIXES = ('.npz', '.csv')


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """One vector for each of N images.

    Attributes:
        names: of the images, in their order: paths relative to the folder of the images.
        values: (N, D) float32.
        made_by: what made them: the model and the sha256 of its weights, ``pool``, ``norm``, ``image_size``, ``bands``,
            ``mean``, ``std``, and where the images are.
        skipped: names of the unreadable images, which have no vector, with their reasons.
    """

    names: tuple[str, ...]
    values: np.ndarray
    made_by: Mapping[str, Any] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> np.ndarray:
        """The vector (D,) of an image, by its name."""
        return self.values[self.place(name)]

    def __repr__(self) -> str:
        return f'{type(self).__name__} of {len(self)} images, {self.values.shape[1]} numbers each'

    @cached_property
    def _places(self) -> dict[str, int]:
        places = reversed(range(len(self)))  # of a name that a list has twice, the first counts
        return {self.names[place]: place for place in places}

    def place(self, name: str) -> int:
        """The number of an image; raises ``UserError`` for a name that is not there."""
        if name not in self._places:
            first = f', as {shown(self.names[0])}' if self.names else ''
            raise UserError(f"no embedding of '{shown(name)}': names are paths below the folder of the images{first}")
        return self._places[name]

    def save(self, out: str | Path) -> Path:
        """Write them; raises ``UserError`` as :func:`check_out`.

        Args:
            out: '.npz': arrays ``names`` (N,) text, ``values`` (N, D) float32, ``skipped`` (S,) text, and ``made_by``,
                JSON. '.csv': a line for each image, ``name,d0,d1,...``; nine digits, which give float32 back exactly.
        """
        path = check_out(out)
        with written_whole(path) as file:
            self._write_csv(file) if path.suffix == '.csv' else self._write_npz(file)
        return path

    def _write_npz(self, file: BinaryIO) -> None:
        made_by = json.dumps(self.made_by, sort_keys=True)
        text = np.array(self.names, str), np.array(self.skipped, str)
        np.savez(file, names=text[0], values=self.values, skipped=text[1], made_by=np.array(made_by))

    def _write_csv(self, file: BinaryIO) -> None:
        lines = io.TextIOWrapper(file, 'utf-8', errors='surrogateescape', newline='', write_through=True)
        table = csv.writer(lines, lineterminator='\n')
        table.writerow(['name', *(f'd{number}' for number in range(self.values.shape[1]))])
        for name, vector in zip(self.names, self.values):
            table.writerow([name, *(f'{value:.9g}' for value in vector.tolist())])
        lines.detach()

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Those of an ``.npz`` that :meth:`save` wrote.

        Raises:
            UserError: no such file, or another kind of file.
        """
        path = user_path(path, 'path')
        try:
            with np.load(path, allow_pickle=False) as file:
                names, values, skipped, made_by = (file[key] for key in ('names', 'values', 'skipped', 'made_by'))
            return cls(tuple(names.tolist()), values, json.loads(str(made_by)), tuple(skipped.tolist()))
        except OSError as error:
            raise UserError(f"'{shown(path)}' cannot be read: {error.strerror or error}") from error
        except (EOFError, KeyError, TypeError, ValueError, AttributeError, BadZipFile) as error:
            # another archive, an array, or no file of NumPy's
            raise UserError(f"'{shown(path)}' holds no embeddings: give an .npz that embed wrote") from error


def check_out(out: str | Path) -> Path:
    """The file that embeddings are written to; folders above it are created.

    Raises:
        UserError: a suffix that is none of :data:`SUFFIXES`; a file that cannot be written.
    """
    path = user_path(out, 'out')
    if path.suffix not in SUFFIXES and not path.is_dir():
        found = f"ends in '{path.suffix}'" if path.suffix else 'has no suffix'
        raise UserError(f"out '{shown(path)}' {found}: choose {' or '.join(SUFFIXES)}, e.g. {path.stem}.npz")
    return output_file(path, 'out')
