"""What is written for each image, by the task of the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..data.label_maps.palette import distinct_colours
from ..whole_files import written_whole
from .class_scores import ScoreTable, score_table
from .detections import DetectionFile, detection_file
from .label_maps import LabelMapWriter, numbering_of
from .objects import Objects
from .overlays import draw_labels, draw_objects
from .photos import output_names
from .trained import Trained

#: The lowest score of objects in pictures, unless a score is given.
SHOWN_SCORE = 0.3


class Wanted(NamedTuple):
    """What is to be written.

    Attributes:
        pictures: whether pictures are.
        score: the lowest score; None for all.
        labels: of the classes.
        top: classes of each image in a table.
    """

    pictures: bool
    score: float | None
    labels: Sequence[int]
    top: int


class Writer(ABC):
    """Writes the prediction of each image.

    Attributes:
        path: the file or folder of the predictions.
        pictures: the folder of the pictures; None for none.
        count: objects, label maps or lines that are written so far.
    """

    path: Path
    pictures: Path | None = None
    count = 0

    @abstractmethod
    def add(self, index: int, image: dict, predicted: Any) -> None:
        """Write the prediction of an image, which is loaded; raises ``OSError``."""


@contextmanager
def written(trained: Trained, source: Any, folder: Path, names: Sequence[str], wanted: Wanted) -> Iterator[Writer]:
    """What writes the predictions of a model; files of all images take their names at the end.

    Args:
        source: what has read the images.
        names: of the images.
    """
    classes = trained.classes
    if trained.task == 'classify':
        path = folder / 'scores.csv'
        with score_table(path, classes, wanted.top, wanted.score or 0.0, wanted.labels) as table:
            yield _Scores(path, table, names)
    elif trained.task == 'detect':
        path = folder / 'predictions.json'
        with detection_file(path, classes) as file:
            yield _Detections(path, file, names, _Pictures(folder, names, source, classes), wanted)
    else:
        label_maps = LabelMapWriter(folder / 'label_maps', numbering_of(trained.cfg, classes))
        yield _LabelMaps(label_maps, _Pictures(folder, names, source, classes), wanted)
        label_maps.write_classes(folder / 'classes.json', distinct_colours(len(classes)))


class _Pictures:
    """Writes pictures of predictions."""

    def __init__(self, folder: Path, names: Sequence[str], source: Any, classes: Sequence[str]) -> None:
        self.folder, self.classes, self.source = folder / 'pictures', classes, source
        self.names, self.colours = output_names(names), distinct_colours(len(classes))

    def objects(self, index: int, image: dict, objects: Objects) -> None:
        self._save(index, draw_objects(self.source.picture(image), objects, self.classes, self.colours))

    def labels(self, index: int, image: dict, labels: np.ndarray) -> None:
        self._save(index, draw_labels(self.source.picture(image), labels, self.classes, self.colours))

    def _save(self, index: int, picture: Image.Image) -> None:
        path = self.folder / f'{self.names[index]}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            picture.save(file, 'JPEG', quality=90)


class _Detections(Writer):
    def __init__(
        self, path: Path, file: DetectionFile, names: Sequence[str], pictures: _Pictures, wanted: Wanted
    ) -> None:
        self.path, self._file, self._names, self._drawn, self._wanted = path, file, names, pictures, wanted
        self.pictures = pictures.folder if wanted.pictures else None

    def add(self, index: int, image: dict, predicted: Objects) -> None:
        score = self._wanted.score
        kept = np.isin(predicted.labels, self._wanted.labels) & (predicted.scores >= (score or 0.0))
        objects = predicted.select(np.flatnonzero(kept))
        height, width = image['img'].shape[:2]
        self._file.add(self._names[index], height, width, objects)
        self.count = self._file.count
        if self.pictures is not None:
            seen = objects.scores >= (SHOWN_SCORE if score is None else score)
            self._drawn.objects(index, image, objects.select(np.flatnonzero(seen)))


class _LabelMaps(Writer):
    def __init__(self, label_maps: LabelMapWriter, pictures: _Pictures, wanted: Wanted) -> None:
        self.path, self._file, self._drawn, self._wanted = label_maps.folder, label_maps, pictures, wanted
        self.pictures = pictures.folder if wanted.pictures else None

    def add(self, index: int, image: dict, predicted: np.ndarray) -> None:
        labels = np.where(np.isin(predicted, self._wanted.labels), predicted, self._file.none)
        self._file.add(self._drawn.names[index], labels)
        self.count += 1
        if self.pictures is not None:
            self._drawn.labels(index, image, labels)


class _Scores(Writer):
    def __init__(self, path: Path, table: ScoreTable, names: Sequence[str]) -> None:
        self.path, self._table, self._names = path, table, names

    def add(self, index: int, image: dict, predicted: np.ndarray) -> None:
        self._table.add(self._names[index], predicted)
        self.count = self._table.count
