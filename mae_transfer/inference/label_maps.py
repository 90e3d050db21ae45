"""Predicted label maps, with the numbers that the data's own label maps have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from inspect import signature
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from ..data.label_maps.label_numbers import Numbering, parse_values
from ..kinds import class_of, data_sets
from ..whole_files import written_whole


def numbering_of(cfg: Config, classes: Sequence[str]) -> Numbering:
    """The numbers of the classes in the label maps of a run: ``label_values``, or as ``reduce_zero_label`` says."""
    dataset = next(data_sets((cfg.get('test_dataloader') or {}).get('dataset') or ()), {})
    kind = class_of(dataset, DATASETS, cfg.get('default_scope')) if dataset else None
    parameters = signature(kind).parameters if kind else {}
    default = parameters['reduce_zero_label'].default if 'reduce_zero_label' in parameters else False
    values = parse_values(dataset.get('label_values'), tuple(classes))
    reduced = bool(dataset.get('reduce_zero_label', default)) and values is None
    return Numbering(tuple(classes), reduced, values)


class LabelMapWriter:
    """Writes label maps as PNG, of 8 bits, or 16 where a number needs them, and which number is which class.

    Args:
        numbering: of the classes.

    Attributes:
        none: the label of pixels of other classes than those that were asked for.
    """

    def __init__(self, folder: Path, numbering: Numbering) -> None:
        self.folder, self.numbering, self.none = folder, numbering, len(numbering.classes)
        numbers = numbering.numbers
        self._no_class = 0 if numbering.reduce_zero_label else next(n for n in (255, 0, 65535) if n not in numbers)
        kind = np.uint8 if max(*numbers.tolist(), self._no_class) < 256 else np.uint16
        self._table = np.append(numbers, self._no_class).astype(kind)

    def add(self, name: str, labels: np.ndarray) -> None:
        """Write a label map; raises ``OSError``.

        Args:
            name: of the file, without its suffix.
            labels: (H, W), from 0, and ``none``.
        """
        path = self.folder / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(self._table[labels])
        with written_whole(path) as file:
            image.save(file, 'PNG')

    def write_classes(self, path: Path, colours: Sequence[Sequence[int]]) -> None:
        """Write which number is which class, in which colour of the pictures; raises ``OSError``."""
        entries = zip(self.numbering.numbers.tolist(), self.numbering.classes, colours)
        classes = [dict(number=number, name=name, colour=list(map(int, colour))) for number, name, colour in entries]
        with written_whole(path) as file:
            file.write(json.dumps(dict(classes=classes, no_class=self._no_class), indent=1).encode())
