"""What a classifier gets right: accuracy, confusions, and its most confident mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ..evaluation import Accuracy
from .confusions import confusion_parts
from .held_images import name_of, picture_of
from .judge import Judge, left_out
from .panels import scale_of, scaled
from .sections import Picture, Section, Table
from .worst import Worst

#: The longer side of a shown image, in pixels.
_SIDE = 160


class _Mistake(NamedTuple):
    """An image (C, H, W) as the model is given it, its number, both labels, and the score of the wrong one."""

    image: Tensor
    number: int
    label: int
    predicted: int
    score: float


class Classifications(Judge):
    """See :class:`~mae_transfer.reporting.judge.Judge`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.accuracy = self.metric(Accuracy)
        self._worst: Worst[_Mistake] = Worst(self.pictures)

    def add(self, batch: dict, outputs: Sequence[Any]) -> None:
        """See the base class."""
        present = list(self.accuracy.present)
        ranked = self.accuracy.results[-len(outputs) :]
        for image, sample, (number, label, predicted, rank) in zip(batch['inputs'], outputs, ranked):
            if rank:
                shares = sample['scores'][present].softmax(0)
                score = float(shares[present.index(predicted)])
                mistake = _Mistake(image, number, label, predicted, score)
                self._worst.add(score, lambda: mistake._replace(image=image.clone()))  # noqa: B023 -- called at once

    def sections(self, metrics: Mapping[str, Any]) -> list[Section]:
        """See the base class."""
        confusion, classes = self.accuracy.confusion, self.accuracy.classes
        present = self.accuracy.present
        images, right = confusion.sum(1), confusion.diagonal()
        rows = [
            (classes[label], int(images[label]), round(100 * int(right[label]) / int(images[label]), 1))
            for label in present
            if images[label]
        ]
        rows.sort(key=lambda row: row[2])
        absent = left_out([classes[label] for label in present if not images[label]], 'an image')
        prefix = f'{self.accuracy.prefix}/'
        own = {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}
        names = tuple(name.replace('top', 'top-').replace('_', ' ') for name in own)
        total = Table(
            names,
            (tuple(round(float(value), 2) for value in own.values()),),
            'In per cent. Top-k is the share of the images whose class is among the k best; mean class the mean over '
            'the classes of top-1.',
        )
        table = Table(('class', 'images', 'top-1'), tuple(rows), 'In per cent, the lowest first.' + absent)
        wrong = int(images.sum() - right.sum())
        return [
            Section('Accuracy', f'They are of {len(present):,} classes.', (total, table)),
            Section(
                'Confusion between classes',
                '',
                confusion_parts(confusion[np.ix_(present, present)], [classes[label] for label in present], 'images'),
            ),
            Section(
                'Most confident mistakes',
                f'Of {wrong:,} images with a wrong class those with the highest score of it, as the model sees them.',
                tuple(self._picture(mistake) for mistake in self._worst.items()),
            ),
        ]

    def _picture(self, mistake: _Mistake) -> Picture:
        picture = picture_of(mistake.image, self.loader.dataset)
        classes = self.accuracy.classes
        text = (
            f'{name_of(self.loader.dataset, mistake.number)}: truth {classes[mistake.label]}, prediction '
            f'{classes[mistake.predicted]}, score {mistake.score:.2f}'
        )
        return Picture(scaled(picture, scale_of(picture, _SIDE)), text)
