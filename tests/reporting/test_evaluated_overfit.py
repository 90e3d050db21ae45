"""Sections of models that learnt four real images by heart, as well as tools/test.py says. Minutes each."""

import re

import pytest

from mae_transfer.reporting.evaluated import evaluated_sections
from tests.inference.test_overfit_predictions import overfitted
from tests.reporting.evaluations import pictures, tables


@pytest.mark.slow
def test_objects_of_four_images(tmp_path):
    trained, judged = overfitted('coco', tmp_path)
    check_objects(trained.checkpoint, judged)


def check_objects(run, judged):
    figures, _, _, worst = evaluated_sections(run, device='cpu')
    total, by_class = tables(figures)
    for row, kind in zip(total.rows, ('bbox', 'segm')):
        for value, item in zip(row[1:], ('mAP', 'mAP_50', 'mAP_75')):
            told = float(re.findall(rf'coco/{kind}_{item}: (\S+)', judged)[-1])
            assert value == pytest.approx(100 * told, abs=0.01), (kind, item)
    assert sum(row[1] for row in by_class.rows) == 11 and len(by_class.rows) == 6
    found = [re.search(r'F1 (\S+); (\d+) of (\d+) objects', picture.caption).groups() for picture in pictures(worst)]
    scores = [float(score) for score, _, _ in found]
    assert len(found) == 4 and scores == sorted(scores) and scores[0] > 0.4
    assert sum(int(right) for _, right, _ in found) > 8 and sum(int(true) for _, _, true in found) == 11


@pytest.mark.slow
def test_classes_of_four_images(tmp_path):
    trained, judged = overfitted('ade', tmp_path)
    check_classes(trained.checkpoint, judged)


def check_classes(run, judged):
    figures, _, worst = evaluated_sections(run, device='cpu')
    total, by_class = tables(figures)
    told = {name: float(re.findall(rf' {name}: (\S+)', judged)[-1]) for name in total.columns}
    assert dict(zip(total.columns, total.rows[0])) == told and told['mIoU'] > 70
    assert sum(row[2] for row in by_class.rows) / len(by_class.rows) == pytest.approx(told['mIoU'], abs=0.01)
    found = [float(picture.caption.split('mIoU ')[1]) for picture in pictures(worst)]
    assert len(found) == 4 and found == sorted(found) and found[0] > 40
