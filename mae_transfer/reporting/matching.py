"""Which predicted object is which true one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from ..inference.objects import Objects

#: The IoU of two boxes from which on they are the same object: COCO's and PASCAL VOC's lowest.
LEAST_IOU = 0.5
#: What :func:`match` gives for predictions of no true object: a false one, and one in a crowd, which counts nowhere.
FALSE, IN_CROWD = -1, -2


def match(truth: Objects, is_crowd: np.ndarray, predicted: Objects, by_class: bool) -> np.ndarray:
    """Match boxes one to one, as COCO does: by falling score, each with the free true box that it overlaps most.

    Args:
        truth: M objects.
        is_crowd: (M,) bool: whether it stands for many objects, which are not told apart.
        predicted: N objects.
        by_class: whether only objects of one class match.

    Returns:
        (N,) int64: for each predicted object the number of the true one, or ``FALSE`` or ``IN_CROWD``.
    """
    found = np.full(len(predicted), FALSE)
    if not len(truth) or not len(predicted):
        return found
    overlaps = coco_mask.iou(_corner_and_size(predicted), _corner_and_size(truth), is_crowd.tolist())
    if by_class:
        overlaps = np.where(predicted.labels[:, None] == truth.labels, overlaps, 0.0)
    free = ~is_crowd
    for number in np.argsort(-predicted.scores, kind='stable'):
        own = np.where(free, overlaps[number], 0.0)
        if own.max() >= LEAST_IOU:
            found[number] = own.argmax()
            free[found[number]] = False
        elif overlaps[number, is_crowd].max(initial=0.0) >= LEAST_IOU:
            found[number] = IN_CROWD
    return found


def _corner_and_size(objects: Objects) -> np.ndarray:
    boxes = objects.boxes.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)


class Counts(NamedTuple):
    """What is right and wrong about the objects of an image.

    Attributes:
        found, missed: true objects, without crowds.
        false: predicted objects that are none, or a second prediction of one, or of another class.
    """

    found: int
    missed: int
    false: int

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, 0 to 1; 1 where there is nothing, and nothing is predicted."""
        total = 2 * self.found + self.missed + self.false
        return 2 * self.found / total if total else 1.0

    @property
    def badness(self) -> tuple[float, int]:
        """Larger for a worse image: a lower F1, then more errors."""
        return -self.f1, self.missed + self.false


def counts(truth: Objects, is_crowd: np.ndarray, predicted: Objects) -> Counts:
    """What is right and wrong about the objects of an image; objects of different classes do not match."""
    found = match(truth, is_crowd, predicted, by_class=True)
    right = int((found >= 0).sum())
    return Counts(right, int((~is_crowd).sum()) - right, int((found == FALSE).sum()))


def add_confusions(confusion: np.ndarray, truth: Objects, is_crowd: np.ndarray, predicted: Objects) -> None:
    """Count an image into a confusion matrix: an object is of the class that its best-scored prediction has.

    Args:
        confusion: (C + 1, C + 1) int64, objects by true (row) and predicted class (column); the last is the background:
            as a row for false objects, as a column for missed ones.
    """
    background = len(confusion) - 1
    found = match(truth, is_crowd, predicted, by_class=False)
    is_hit = found >= 0
    np.add.at(confusion, (truth.labels[found[is_hit]], predicted.labels[is_hit]), 1)
    np.add.at(confusion, (background, predicted.labels[found == FALSE]), 1)
    is_missed = ~is_crowd
    is_missed[found[is_hit]] = False
    np.add.at(confusion, (truth.labels[is_missed], background), 1)
