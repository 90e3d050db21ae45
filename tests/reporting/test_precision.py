"""Precision by recall: figures of a class, and which classes have curves."""

import sys

import numpy as np
import pytest

from mae_transfer.evaluation.coco_ap import CocoAP
from mae_transfer.reporting.precision import RECALLS, PrecisionRecall, precision_parts, precisions
from tests.evaluation.test_coco_ap import NAMES, samples, synthetic  # noqa: F401 -- a fixture

IOUS = np.linspace(0.5, 0.95, 10)


def found_to(recall, objects=4, ious=IOUS):
    """A class whose objects are found without an error up to a recall, at each IoU."""
    row = np.where(RECALLS <= recall, 1.0, 0.0) if objects else np.full(101, -1.0)
    array = np.broadcast_to(row, (len(ious), 101))
    return PrecisionRecall(objects, ious, array, array)


def test_figures():
    assert found_to(0.5).figures() == (50.5, 50.5, 50.5)  # 51 of the 101 recalls
    assert found_to(1).figures() == (100, 100, 100) and found_to(-1).figures() == (0, 0, 0)
    assert found_to(1, objects=0).figures() == (None, None, None)


def test_an_iou_that_is_not_evaluated():
    assert found_to(1, ious=np.array([0.5, 0.6])).figures() == (100, 100, None)


def test_ap_is_of_a_hundred_predictions_and_ap50_of_all():
    curve = found_to(1)._replace(precision=np.zeros((10, 101)))
    assert curve.figures() == (0, 100, 100)


def test_the_best_and_the_worst_classes_have_curves():
    curves = {label: found_to(label / 10) for label in range(9)} | {9: found_to(1, objects=0)}
    mean, classes = precision_parts(dict(boxes=curves, masks=curves), [f'class-{label}' for label in range(10)])
    assert all(f'{what}, IoU {iou}' in mean.svg for what in ('boxes', 'masks') for iou in (0.5, 0.75))
    assert [label for label in range(10) if f'class-{label}' in classes.svg] == [0, 1, 2, 6, 7, 8]
    assert classes.caption == 'The 3 classes of the highest AP and the 3 of the lowest: boxes at IoU 0.5.'


@pytest.mark.parametrize('curves', [{}, dict(boxes={0: found_to(1, objects=0)})])
def test_no_curve_without_an_object(curves):
    assert precision_parts(curves, ['dog']) == ()


def judged(file, predictions, **settings):
    """What the metric says, and the curves of the same predictions."""
    metric = CocoAP(file, metric=['bbox', 'segm'], **settings)
    metric.dataset_meta = dict(classes=NAMES)
    metric.process({}, list(samples(predictions)))
    records = [prediction for _, prediction in metric.results]
    return metric.evaluate(len(predictions)), precisions(metric, records)


@pytest.mark.parametrize(
    'settings', [dict(), dict(proposal_nums=(1, 100, 20)), dict(iou_thrs=np.array([0.3, 0.75]))], ids=str
)
@pytest.mark.parametrize('is_fast', [True, False])
def test_the_mean_of_the_classes_is_what_the_metric_says(is_fast, settings, synthetic, monkeypatch):  # noqa: F811
    if not is_fast:
        monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
    told, curves = judged(*synthetic, **settings)
    assert list(curves) == ['bbox', 'segm']
    for kind, own in curves.items():
        assert list(own) == [0, 1, 2, 3] and own[3].objects == 0 and own[3].figures() == (None, None, None)
        figures = [own[label].figures() for label in range(3)]
        assert all(0 < ap < 100 for ap, *_ in figures)
        for name, values in zip(('mAP', 'mAP_50', 'mAP_75'), zip(*figures)):
            if None not in values:
                assert np.mean(values) == pytest.approx(100 * told[f'coco/{kind}_{name}'], abs=0.1), name
