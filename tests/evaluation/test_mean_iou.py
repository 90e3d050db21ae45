"""mIoU: the library's numbers, and an error where there are none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric
from PIL import Image

from mae_transfer.errors import UserError
from mae_transfer.evaluation.mean_iou import MeanIoU
from mae_transfer.registry import METRICS

META = dict(classes=('road', 'field', 'sky'))


@pytest.fixture
def said(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr('mae_transfer.evaluation.mean_iou.print_log', lambda line, **settings: lines.append(line))
    return lines


def sample(predicted, labels=None, path='images/a.jpg', **more):
    found = dict(pred_sem_seg=dict(data=torch.tensor([predicted])), img_path=path, **more)
    return found if labels is None else dict(found, gt_sem_seg=dict(data=torch.tensor([labels])))


def evaluate(*samples, meta=META, kind=MeanIoU, **settings):
    metric = kind(**settings)
    metric.dataset_meta = meta
    for one in samples:
        metric.process({}, [one])
    return metric.evaluate(len(samples))


def test_it_is_in_the_registry():
    assert METRICS.get('MeanIoU') is MeanIoU


@pytest.mark.parametrize('metrics', [['mIoU'], ['mIoU', 'mDice', 'mFscore']])
def test_the_numbers_are_the_library_s(metrics, said):
    generator = np.random.default_rng(0)
    samples = [
        sample(generator.integers(0, 3, (4, 5)).tolist(), generator.choice([0, 1, 2, 255], (4, 5)).tolist())
        for _ in range(3)
    ]
    found = evaluate(*samples, iou_metrics=metrics)
    assert found == evaluate(*samples, kind=IoUMetric, iou_metrics=metrics) and not said


def test_a_single_row_and_a_single_pixel_count():
    assert evaluate(sample([[0]], [[0]]), sample([[1, 2]], [[1, 2]]))['mIoU'] == 100


def test_classes_without_a_pixel_are_named(said):
    found = evaluate(sample([[0, 0, 2]], [[0, 0, 255]]))
    assert found == dict(aAcc=100, mIoU=100, mAcc=100)
    assert said == [
        '2 of 3 classes have no pixel in the evaluated label maps: field, sky; where such a class is predicted its IoU '
        'is 0, otherwise the means leave it out'
    ]


def test_an_f_score_without_a_right_pixel_is_0():
    assert evaluate(sample([[0, 1]], [[1, 0]]), iou_metrics=['mFscore'])['mFscore'] == 0


@pytest.mark.parametrize(
    'samples, says',
    [
        ([], 'no image was evaluated: the data set is empty'),
        (
            [sample([[0, 1]], [[255, 255]])] * 2,
            'mIoU means nothing: the label maps of all 2 evaluated images have no pixel of a class; choose',
        ),
        (
            [sample([[0]])],
            'images/a.jpg has no label map, without which there is no mIoU: to write predictions only, set '
            'test_evaluator.format_only=True test_evaluator.output_dir=FOLDER',
        ),
        (
            [sample([[0, 1]], [[0, 1], [0, 1]])],
            'images/a.jpg: the label map is 2 x 2 pixels, the prediction 2 x 1: put LoadLabels after all resizing',
        ),
        (
            [sample([[0]], [[0]], seg_logits=dict(data=torch.tensor([[[torch.nan]]] * 3)))],
            'the prediction for images/a.jpg is not finite: the training of these weights failed',
        ),
        (
            [sample([[0]], [[0]], probabilities=dict(data=torch.tensor([[[torch.nan]]] * 3)))],
            'the prediction for images/a.jpg is not finite',
        ),
    ],
)
def test_an_evaluation_that_says_nothing_is_an_error(samples, says):
    with pytest.raises(UserError) as caught:
        evaluate(*samples)
    assert str(caught.value).startswith(says)


# --- writing predictions ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'meta, written',
    [
        (dict(META, reduce_zero_label=True), [[1, 3]]),
        (dict(META, reduce_zero_label=False), [[0, 2]]),
        (dict(META, reduce_zero_label=False, label_values=(0, 128, 255)), [[0, 255]]),
        (dict(META, reduce_zero_label=False, label_values=(7, 128, 1000)), [[7, 1000]]),
    ],
)
def test_predictions_are_written_with_the_numbers_of_the_label_maps(meta, written, tmp_path):
    output = str(tmp_path / 'out')
    assert evaluate(sample([[0, 2]]), meta=meta, format_only=True, output_dir=output) == {}
    assert np.asarray(Image.open(tmp_path / 'out/a.png')).tolist() == written


def test_predictions_need_a_folder_and_names_of_their_own(tmp_path):
    with pytest.raises(UserError, match='format_only writes predictions: set where, test_evaluator.output_dir=FOLDER'):
        MeanIoU(format_only=True)
    with pytest.raises(
        UserError, match='the predictions of one/a.jpg and two/a.jpg would both be .*a.png: predict one'
    ):
        evaluate(
            sample([[0]], path='one/a.jpg'), sample([[0]], path='two/a.jpg'), format_only=True, output_dir=str(tmp_path)
        )


@pytest.mark.parametrize(
    'settings, says',
    [
        (dict(iou_metrics=['IoU']), 'iou_metrics are mIoU, mDice, mFscore; found IoU'),
        (dict(iou_metrics='dice'), 'found dice'),
        (dict(iou_metrics=[]), 'found none'),
        (dict(ignore_index=0), 'ignore_index=0 of MeanIoU: ignored pixels are 255 .*label_values=...'),
    ],
)
def test_impossible_settings_are_refused_before_the_run(settings, says):
    with pytest.raises(UserError, match=says):
        MeanIoU(**settings)
