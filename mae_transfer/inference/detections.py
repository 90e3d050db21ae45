"""Detected objects in one file of COCO's format, written image by image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..whole_files import written_whole
from .objects import Objects


class DetectionFile:
    """The open file: ``images``, ``categories`` and ``annotations``, each with its ``score``.

    Ids of images begin with 1, in the order of the images; those of categories with 1, in the order of the classes.
    """

    def __init__(self, file: BinaryIO, classes: Sequence[str]) -> None:
        self._file, self._images = file, list[dict]()
        self.count = 0
        categories = [dict(id=label + 1, name=name) for label, name in enumerate(classes)]
        self._write(f'{{"categories": {json.dumps(categories)},\n"annotations": [')

    def add(self, name: str, height: int, width: int, objects: Objects) -> None:
        """Write the objects of an image; raises ``OSError``."""
        image = len(self._images) + 1
        self._images.append(dict(id=image, file_name=name, width=width, height=height))
        for place in range(len(objects)):
            left, top, right, bottom = objects.boxes[place].tolist()
            self.count += 1
            annotation = dict(
                id=self.count,
                image_id=image,
                category_id=int(objects.labels[place]) + 1,
                bbox=[left, top, right - left, bottom - top],
                score=float(objects.scores[place]),
                area=(right - left) * (bottom - top),
                iscrowd=0,
            )
            if objects.masks is not None:
                mask = objects.masks[place]
                annotation.update(area=int(mask.pixels.sum()), segmentation=mask.encoded(height, width))
            self._write(f'{"," if self.count > 1 else ""}\n{json.dumps(annotation)}')

    def end(self) -> None:
        """Write what comes last."""
        self._write(f'],\n"images": {json.dumps(self._images)}}}\n')

    def _write(self, text: str) -> None:
        self._file.write(text.encode())


@contextmanager
def detection_file(path: Path, classes: Sequence[str]) -> Iterator[DetectionFile]:
    """The open file, which takes its name when all is written."""
    with written_whole(path) as file:
        detections = DetectionFile(file, classes)
        yield detections
        detections.end()
