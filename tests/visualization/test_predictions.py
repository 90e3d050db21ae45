"""Sheets of predictions next to the ground truth, from the files of an evaluation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_api

from mae_transfer.data.scenes.painting import SEMANTIC_CLASSES, SEMANTIC_PALETTE
from mae_transfer.data.scenes.quickstart import write_scenes
from mae_transfer.visualization.predictions import COLOURS, MARGIN, detection_sheet, segmentation_sheet

SIZE, ZOOM, HEAD = 48, 2, 20


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    write_scenes(folder, photos=0, train=0, val=2, size=SIZE, workers=1)
    return folder


def column(sheet, number, row=0):
    """The pixels of one picture on a sheet."""
    left, top = number * (SIZE * ZOOM + MARGIN), HEAD + row * (SIZE * ZOOM + MARGIN)
    return np.asarray(sheet)[top : top + SIZE * ZOOM, left : left + SIZE * ZOOM]


def test_a_segmentation_sheet_shows_photo_truth_and_prediction(scenes):
    truths = sorted((scenes / 'ade/annotations/validation').glob('*.png'))
    images = [scenes / 'ade/images/validation' / f'{truth.stem}.jpg' for truth in truths]
    predictions = []
    for truth in truths:
        labels = np.full((SIZE, SIZE), 3, np.uint8)
        Image.fromarray(labels).save(predicted := scenes / f'predicted_{truth.name}')
        predictions.append(predicted)
    sheet = segmentation_sheet(images, truths, predictions, SEMANTIC_CLASSES, SEMANTIC_PALETTE, zoom=ZOOM)
    labels = np.asarray(Image.open(truths[1])).repeat(ZOOM, 0).repeat(ZOOM, 1)
    assert (column(sheet, 1, row=1) == np.array(SEMANTIC_PALETTE, np.uint8)[labels - 1]).all()
    assert (column(sheet, 2, row=1) == SEMANTIC_PALETTE[2]).all()


def test_a_detection_sheet_shows_only_predictions_with_a_high_score(scenes):
    annotations = scenes / 'coco/annotations/instances_val2017.json'
    image_id = min(image['id'] for image in json.loads(annotations.read_text())['images'])
    inside = np.zeros((SIZE, SIZE), np.uint8, order='F')
    inside[8:24, 8:24] = 1
    rle = mask_api.encode(inside)
    rle['counts'] = rle['counts'].decode()

    def drawn(score):
        results = scenes / f'results_{score}.json'
        results.write_text(json.dumps([dict(image_id=image_id, category_id=2, score=score, segmentation=rle)]))
        sheet = detection_sheet(annotations, scenes / 'coco/val2017', results, zoom=ZOOM)
        return column(sheet, 0).astype(int), column(sheet, 2).astype(int)

    photo, low = drawn(0.2)
    assert (low == photo).all()
    photo, high = drawn(0.9)
    tinted = 0.45 * photo[34:46, 34:46] + 0.55 * np.array(COLOURS[2])
    assert np.abs(high[34:46, 34:46] - tinted).max() <= 1
    assert (high[60:, 60:] == photo[60:, 60:]).all()
