"""A perfect prediction of any legitimate file evaluates to AP 1, by both libraries."""

import copy
import sys

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mae_transfer.data.coco.images import CocoImages
from mae_transfer.evaluation.coco_ap import CocoAP
from tests.coco_forms import ODD, RARE, odd_content, write
from tests.own_data import SIZES, coco_content, photo


def perfect_samples(dataset, truth):
    """Predictions equal to the truth, a content in the plain form with the images in the data set's order."""
    names = {category['id']: category['name'] for category in truth['categories']}
    classes = dataset.metainfo['classes']
    for i, image in enumerate(truth['images']):
        objects = [
            entry
            for entry in truth['annotations']
            if entry['image_id'] == image['id'] and not entry['iscrowd'] and names[entry['category_id']] in classes
        ]
        height, width = image['height'], image['width']
        masks = [
            coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(entry['segmentation'], height, width)))
            for entry in objects
        ]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (entry['bbox'] for entry in objects)]
        yield dict(
            img_id=dataset.get_data_info(i)['img_id'],
            ori_shape=(height, width),
            pred_instances=dict(
                bboxes=torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
                scores=torch.linspace(0.9, 0.8, len(objects)),
                labels=torch.tensor(
                    [classes.index(names[entry['category_id']]) for entry in objects], dtype=torch.long
                ),
                masks=torch.from_numpy(np.array(masks, dtype=bool).reshape(-1, height, width)),
            ),
        )


def evaluate(folder, content, truth, monkeypatch, classes):
    """{library: metrics} of a perfect prediction."""
    file = write(folder, content)
    for seed, size in enumerate(SIZES):
        photo(folder / f'{seed}.jpg', size, seed)
    photo(folder / 'empty.jpg', SIZES[1])
    settings = dict(ann_file=str(file), data_prefix=dict(img=f'{folder}/'), pipeline=[], metainfo=dict(classes=classes))
    dataset = CocoImages(test_mode=True, **settings)
    found = {}
    for library in ('faster-coco-eval', 'pycocotools'):
        if library == 'pycocotools':
            monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
        metric = CocoAP(str(file), metric=['bbox', 'segm'])
        metric.dataset_meta = dataset.metainfo
        metric.process({}, list(perfect_samples(dataset, truth)))
        found[library] = metric.evaluate(len(dataset))
    return found


@pytest.mark.parametrize('name', [*ODD, *RARE])
def test_a_perfect_prediction_is_an_ap_of_one(name, tmp_path, monkeypatch):
    truth = RARE[name](copy.deepcopy(coco_content())) if name in RARE else coco_content()
    content = truth if name in RARE else odd_content(name)
    classes = ('dog',) if name == 'one category' else ('dog', 'cow', 'traffic light')
    found = evaluate(tmp_path, content, truth, monkeypatch, classes)
    assert found['faster-coco-eval'] == found['pycocotools']
    metrics = found['pycocotools']
    assert metrics['coco/bbox_mAP'] == metrics['coco/bbox_mAP_75'] == 1
    assert metrics['coco/segm_mAP'] == metrics['coco/segm_mAP_75'] == 1
