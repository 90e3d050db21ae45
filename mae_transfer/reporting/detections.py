"""What a detector finds: average precision, curves, confusions, and the images with the most errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmdet.evaluation.metrics import CocoMetric

from ..data.files.photo_files import PhotoFiles
from ..inference.dense_images import DenseImages
from ..inference.objects import Objects
from ..inference.writers import SHOWN_SCORE
from ..paths import shown
from ..progress import progress
from .confusions import confusion_parts
from .judge import Judge, left_out
from .marked_objects import CROWD, FALSE, MISSED, MOST_NAMED, RIGHT, WRONG, draw_marked
from .matching import IN_CROWD, LEAST_IOU, Counts, add_confusions, counts, match
from .panels import scale_of, scaled, side_by_side
from .precision import PrecisionRecall, precision_parts, precisions
from .sections import Picture, Section, Table
from .worst import Worst

#: The lowest score of the objects that a confusion matrix counts.
CONFUSED_SCORE = 0.5
#: The longer side of a photo in a picture, in pixels.
_SIDE = 420
_KINDS = dict(bbox='boxes', segm='masks')
_ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


class _Truth(NamedTuple):
    """The true objects of an image; those that are crowds; and the annotations, for their masks."""

    objects: Objects
    is_crowd: np.ndarray
    annotations: list[dict]


class Detections(Judge):
    """See :class:`~mae_transfer.reporting.judge.Judge`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.coco = self.metric(CocoMetric)
        self.classes = tuple(self.coco.dataset_meta['classes'])
        self._paths: dict[Any, str] = {}
        self._records: list[tuple[dict, dict]] = []

    def add(self, batch: dict, outputs: Sequence[Any]) -> None:
        """See the base class; the metric's records, with masks as run lengths, are kept as it keeps them."""
        self._records += self.coco.results[len(self._records) :]
        self._paths.update({sample.img_id: sample.img_path for sample in outputs})

    def sections(self, metrics: Mapping[str, Any]) -> list[Section]:
        """See the base class."""
        predictions = [prediction for _, prediction in self._records]
        curves = precisions(self.coco, predictions)
        confusion = np.zeros((len(self.classes) + 1,) * 2, np.int64)
        worst: Worst[tuple[Counts, dict, _Truth]] = Worst(self.pictures)
        for prediction in progress(predictions, 'images compared with the truth'):
            truth, found = self._truth(prediction['img_id']), _objects(prediction)
            add_confusions(confusion, truth.objects, truth.is_crowd, _from(found, CONFUSED_SCORE))
            count = counts(truth.objects, truth.is_crowd, _from(found, SHOWN_SCORE))
            worst.add(count.badness, lambda: (count, prediction, truth))  # noqa: B023 -- called at once
        objects = sum(curve.objects for curve in next(iter(curves.values())).values()) if curves else 0
        return [
            self._figures(metrics, curves, objects),
            Section(
                'Precision and recall',
                'Precision is the share of the predicted objects that are right, recall the share of the true objects '
                'that are found, as the score from which on predictions count falls.',
                precision_parts({_KINDS[kind]: curve for kind, curve in curves.items()}, self.classes),
            ),
            Section(
                'Confusion between classes',
                f'Predictions with a score of {CONFUSED_SCORE:g} or more, and true objects whose boxes they overlap by '
                f'an IoU of {LEAST_IOU:g}, of whatever class. An object is of the class that its best prediction has. '
                "The row 'background' has false objects, the column 'background' missed ones.",
                confusion_parts(confusion, (*self.classes, 'background'), 'objects'),
            ),
            Section(
                'Predictions beside the truth, worst first',
                f'The images with the lowest F1 of objects with a score of {SHOWN_SCORE:g} or more, found where class '
                f'and box are right (IoU {LEAST_IOU:g}); of equal ones those with more missed and false objects. '
                f'Of more than {MOST_NAMED} objects the largest of each class is named; {WRONG} marks others that are '
                'wrong.',
                tuple(self._picture(*item) for item in worst.items()),
            ),
        ]

    def _figures(
        self, metrics: Mapping[str, Any], curves: Mapping[str, Mapping[int, PrecisionRecall]], objects: int
    ) -> Section:
        prefix = f'{self.coco.prefix}/' if self.coco.prefix else ''
        totals = [
            (_KINDS[kind], *(_per_cent(metrics.get(f'{prefix}{kind}_{item}')) for item in _ITEMS)) for kind in curves
        ]
        columns = ('', 'AP', 'AP50', 'AP75', 'small', 'medium', 'large')
        total = Table(
            columns, tuple(totals), 'Average precision, 0 to 100: the mean over the classes, and over IoU .5 to .95.'
        )
        by_class = [
            (name, first.objects, *(figure for kind in curves.values() for figure in kind[label].figures()))
            for label, name in enumerate(self.classes)
            if curves and (first := next(iter(curves.values()))[label]).objects
        ]
        absent = [name for name in self.classes if name not in {row[0] for row in by_class}]
        by_class.sort(key=lambda row: (row[2] or 0, -row[1]))
        names = [f'{_KINDS[kind]} {item}' for kind in curves for item in ('AP', 'AP50', 'AP75')]
        table = Table(
            ('class', 'objects', *names),
            tuple(by_class),
            'Average precision of each class, the lowest first.' + left_out(absent, 'an object'),
        )
        return Section(
            'Average precision', f'They have {objects:,} objects of {len(self.classes):,} classes.', (total, table)
        )

    def _truth(self, image: Any) -> _Truth:
        """The true objects of an image that are of the classes."""
        api = self.coco._coco_api  # MMDetection has no public name for the annotations
        labels = {name: label for label, name in enumerate(self.classes)}
        own = {id_: labels[entry['name']] for id_, entry in api.cats.items() if entry['name'] in labels}
        entries = [entry for entry in api.imgToAnns.get(image, ()) if entry['category_id'] in own]
        boxes = np.array([entry['bbox'] for entry in entries], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        objects = Objects(
            boxes,
            np.ones(len(entries), np.float32),
            np.array([own[entry['category_id']] for entry in entries], np.int64),
            None,
        )
        return _Truth(objects, np.array([bool(entry.get('iscrowd')) for entry in entries], bool), entries)

    def _picture(self, count: Counts, prediction: dict, truth: _Truth) -> Picture:
        path = Path(self._paths[prediction['img_id']])
        images = DenseImages(self.trained.cfg)
        picture = images.picture(images.read(PhotoFiles(path.parent, [path.name]), 0))
        scale = scale_of(picture, _SIDE)
        picture, seen = scaled(picture, scale), np.flatnonzero(prediction['scores'] >= SHOWN_SCORE)
        found = _objects(prediction).select(seen)
        matches = match(truth.objects, truth.is_crowd, found, by_class=True)
        is_missed = ~np.isin(np.arange(len(truth.objects)), matches)
        states = np.select([truth.is_crowd, is_missed], [CROWD, MISSED], RIGHT)
        outlines = [self.coco._coco_api.annToRLE(entry) for entry in truth.annotations if entry.get('segmentation')]
        true_masks = outlines if len(outlines) == len(truth.objects) else None
        masks = [prediction['masks'][place] for place in seen] if 'masks' in prediction else None
        text = (
            f'{shown(path.name)}: F1 {count.f1:.2f}; {count.found} of {count.found + count.missed} objects found, '
            f'{count.missed} missed, {count.false} false'
        )
        panels = (
            draw_marked(picture, truth.objects, states, self.classes, true_masks, scale, scores=False),
            draw_marked(
                picture,
                found,
                np.select([matches >= 0, matches == IN_CROWD], [RIGHT, CROWD], FALSE),
                self.classes,
                masks,
                scale,
                scores=True,
            ),
        )
        return Picture(side_by_side(panels, ('truth', f'prediction (score {SHOWN_SCORE:g} or more)')), text)


def _objects(prediction: dict) -> Objects:
    """A prediction of the metric's records, without its masks."""
    return Objects(prediction['bboxes'], prediction['scores'], prediction['labels'], None)


def _from(objects: Objects, score: float) -> Objects:
    return objects.select(np.flatnonzero(objects.scores >= score))


def _per_cent(value: float | None) -> float | None:
    """A figure of the metric, from 0 to 1, in per cent; None for -1, which stands for no object."""
    return None if value is None or value < 0 else round(100 * value, 1)
