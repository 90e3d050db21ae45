"""Precision by recall of a detector, from COCO's own array of it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmdet.evaluation.metrics import CocoMetric
from mmengine.fileio import load
from pycocotools.cocoeval import COCOeval

from ..compat.faster_ap import faster_evaluation, has_faster_coco_eval
from .judge import quiet
from .plots import line_plot
from .sections import Plot

#: Recalls at which COCO has the precision.
RECALLS = np.linspace(0, 1, 101)
#: The IoU of the curves.
_IOUS = (0.5, 0.75)
#: Classes that have a curve of their own: the best ones and the worst ones.
_BEST, _WORST = 3, 3


class PrecisionRecall(NamedTuple):
    """How a class is found.

    Attributes:
        objects: how many true ones there are, without crowds.
        ious: (T,) the thresholds of IoU.
        precision: (T, 101) at :data:`RECALLS`, of the best 100 predictions of an image; -1 without objects.
        at_most: the same of all predictions that are evaluated, from which AP50 and AP75 follow.
    """

    objects: int
    ious: np.ndarray
    precision: np.ndarray
    at_most: np.ndarray

    @property
    def ap(self) -> float | None:
        """Average precision, 0 to 100; None without objects."""
        return _mean(self.precision)

    def figures(self) -> tuple[float | None, float | None, float | None]:
        """AP, AP50 and AP75, 0 to 100; None without objects, or where that IoU is not evaluated."""
        fifty, seventy_five = (None if (row := self.row(iou)) is None else _mean(row) for iou in _IOUS)
        return self.ap, fifty, seventy_five

    def row(self, iou: float) -> np.ndarray | None:
        """(101,) the precision at an IoU; None where that is not evaluated."""
        place = np.flatnonzero(np.isclose(self.ious, iou))
        return self.at_most[place[0]] if len(place) else None


def precisions(metric: CocoMetric, predictions: Sequence[dict]) -> dict[str, dict[int, PrecisionRecall]]:
    """How the classes are found, by boxes and by masks.

    Args:
        metric: that has evaluated these predictions, with the same settings.
        predictions: its records, in the order of the images.

    Returns:
        For 'bbox' and 'segm', where the metric evaluates them, the curve of each label.
    """
    api, names = metric._coco_api, list(metric.dataset_meta['classes'])  # no public name for the annotations
    categories = sorted(id_ for id_, entry in api.cats.items() if entry['name'] in names)
    found: dict[str, dict[int, PrecisionRecall]] = {}
    with tempfile.TemporaryDirectory() as folder, quiet():
        files = metric.results2json(predictions, str(Path(folder, 'predictions')))
        for kind in [kind for kind in ('bbox', 'segm') if kind in metric.metrics]:
            array, objects = _evaluated(metric, kind, load(files[kind]), categories)
            # pycocotools summarises AP from the best 100 predictions, AP50 and AP75 from the largest number.
            hundred = sorted(map(int, metric.proposal_nums)).index(100)
            found[kind] = {
                names.index(api.cats[id_]['name']): PrecisionRecall(
                    objects[place], metric.iou_thrs, array[:, :, place, hundred], array[:, :, place, -1]
                )
                for place, id_ in enumerate(categories)
            }
    return found


def _evaluated(
    metric: CocoMetric, kind: str, predictions: list[dict], categories: list[int]
) -> tuple[np.ndarray, list[int]]:
    """COCO's precision (T, 101, C, numbers of predictions) for objects of any size, and the objects of each class."""
    api = metric._coco_api
    counted = Counter(entry['category_id'] for entry in api.anns.values() if not entry.get('iscrowd'))
    objects = [counted[id_] for id_ in categories]
    if not predictions:
        shape = (len(metric.iou_thrs), len(RECALLS), len(categories), len(metric.proposal_nums))
        return np.broadcast_to(np.where(np.array(objects) > 0, 0.0, -1.0)[:, None], shape), objects
    if kind == 'segm':  # whose areas then are those of the masks, as in MMDetection's metric
        predictions = [{key: value for key, value in entry.items() if key != 'bbox'} for entry in predictions]
    evaluation = (faster_evaluation() if has_faster_coco_eval() else COCOeval)(api, api.loadRes(predictions), kind)
    evaluation.params.catIds, evaluation.params.imgIds = categories, api.getImgIds()
    evaluation.params.maxDets, evaluation.params.iouThrs = list(metric.proposal_nums), metric.iou_thrs
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval['precision'][:, :, :, 0], objects


def precision_parts(curves: Mapping[str, Mapping[int, PrecisionRecall]], classes: Sequence[str]) -> tuple[Plot, ...]:
    """Plots of the curves: the mean of the classes, and the best and worst classes.

    Args:
        curves: of each label, by what is found: 'boxes', 'masks'.
        classes: names of the labels.
    """
    mean = {
        f'{what}, IoU {iou:g}': _points(np.mean(rows, 0))
        for what, own in curves.items()
        for iou in _IOUS
        if (rows := [row for curve in own.values() if curve.objects and (row := curve.row(iou)) is not None])
    }
    if not mean:
        return ()
    parts = [Plot(_plot(mean), 'The mean over the classes that have objects.')]
    what, own = next(iter(curves.items()))
    order = sorted((label for label in own if own[label].objects), key=lambda label: (-(own[label].ap or 0), label))
    chosen = order if len(order) <= _BEST + _WORST else [*order[:_BEST], *order[-_WORST:]]
    iou = _IOUS[0]
    lines = {classes[label]: _points(row) for label in chosen if (row := own[label].row(iou)) is not None}
    if lines:
        which = (
            'The classes'
            if chosen == order
            else f'The {_BEST} classes of the highest AP and the {_WORST} of the lowest'
        )
        parts.append(Plot(_plot(lines), f'{which}: {what} at IoU {iou:g}.'))
    return tuple(parts)


def _plot(series: Mapping[str, list[tuple[float, float]]]) -> str:
    return line_plot(series, 'recall, %', 'precision, %', limits=((0, 100), (0, 100)))


def _points(precision: np.ndarray) -> list[tuple[float, float]]:
    return [(round(100 * float(x)), round(100 * float(y), 2)) for x, y in zip(RECALLS, precision)]


def _mean(precision: np.ndarray) -> float | None:
    values = precision[precision > -1]
    return round(100 * float(values.mean()), 1) if len(values) else None
