"""MMDetection's ``CocoMetric`` computed by faster-coco-eval, with the numbers of pycocotools.

MMDetection's own ``FasterCocoMetric`` gives other numbers if an image has more than 100 predictions: faster-coco-eval's
summary computes AP from the largest of ``proposal_nums`` predictions per image, pycocotools' from 100 (but AP50, AP75
and the three sizes from the largest). Here faster-coco-eval only matches predictions with objects, which is the slow
part; pycocotools computes the summary.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from mmdet.evaluation.metrics import coco_metric
from pycocotools.cocoeval import COCOeval


def has_faster_coco_eval() -> bool:
    """Whether faster-coco-eval is installed."""
    return find_spec('faster_coco_eval') is not None


def faster_evaluation() -> type[COCOeval]:
    """faster-coco-eval's class, with pycocotools' summary."""
    from faster_coco_eval import COCOeval_faster

    return type('Evaluation', (COCOeval_faster,), dict(summarize=COCOeval.summarize))


@contextmanager
def evaluated_by(kind: type[COCOeval]) -> Iterator[None]:
    """Within this context MMDetection's ``CocoMetric`` evaluates by this class."""
    original, coco_metric.COCOeval = coco_metric.COCOeval, kind
    try:
        yield
    finally:
        coco_metric.COCOeval = original
