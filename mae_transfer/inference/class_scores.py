"""The best classes of each image in a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..paths import shown
from ..whole_files import written_whole

_COLUMNS = ('image', 'rank', 'class', 'label', 'score')


class ScoreTable:
    """The open file: a line for each of the best classes of an image, the best first.

    Args:
        most: classes of each image.
        least: score, below which a class is left out.
        chosen: labels of the classes that count.
    """

    def __init__(self, file: BinaryIO, classes: Sequence[str], most: int, least: float, chosen: Sequence[int]) -> None:
        self._file, self.classes, self.most, self.least = file, classes, most, least
        self._chosen = np.array(chosen)
        self.count = 0
        self._write([_COLUMNS])

    def add(self, name: str, scores: np.ndarray) -> None:
        """Write the best classes of an image; raises ``OSError``.

        Args:
            scores: (N,), which sum to 1.
        """
        order = self._chosen[np.argsort(-scores[self._chosen], kind='stable')][: self.most]
        best = [label for label in order.tolist() if scores[label] >= self.least]
        self.count += len(best)
        self._write(
            (shown(name), rank + 1, self.classes[label], label, f'{scores[label]:.6f}')
            for rank, label in enumerate(best)
        )

    def _write(self, rows: Iterable[Sequence]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator='\n').writerows(rows)
        self._file.write(text.getvalue().encode())


@contextmanager
def score_table(
    path: Path, classes: Sequence[str], most: int, least: float, chosen: Sequence[int]
) -> Iterator[ScoreTable]:
    """The open file, which takes its name when all is written."""
    with written_whole(path) as file:
        yield ScoreTable(file, classes, most, least, chosen)
