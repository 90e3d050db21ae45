"""MMDetection's ``CocoMetric`` computed by faster-coco-eval, with pycocotools' numbers.

MMDetection has a ``FasterCocoMetric``; but faster-coco-eval's summary takes AP over the largest of ``proposal_nums``
predictions of an image, and pycocotools' takes AP over 100 and AP50, AP75 and the three sizes over the largest, so the
two differ where an image has more than 100. Here faster-coco-eval matches predictions and objects, which takes the
time, and pycocotools sums up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from mmdet.evaluation.metrics import coco_metric
from pycocotools.cocoeval import COCOeval


def installed() -> bool:
    """Whether faster-coco-eval is."""
    return find_spec('faster_coco_eval') is not None


@contextmanager
def faster_ap() -> Iterator[None]:
    """While it lasts, MMDetection's ``CocoMetric`` evaluates by faster-coco-eval."""
    from faster_coco_eval import COCOeval_faster

    class Evaluation(COCOeval_faster):
        summarize = COCOeval.summarize

    theirs, coco_metric.COCOeval = coco_metric.COCOeval, Evaluation
    try:
        yield
    finally:
        coco_metric.COCOeval = theirs
