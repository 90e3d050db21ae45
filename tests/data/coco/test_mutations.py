"""Damaged files in COCO's format: one line, or a file that both AP libraries evaluate alike."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest
from mmdet.datasets.api_wrappers import COCOeval
from mmdet.evaluation.metrics import coco_metric

from mae_transfer.compat.faster_ap import evaluated_by, faster_evaluation
from mae_transfer.data.coco.file import read_coco
from mae_transfer.data.coco.segmentations import as_rle
from mae_transfer.errors import UserError
from tests.coco_forms import ODD, RARE, odd_content, write
from tests.data.coco.mutations import mutate_coco
from tests.own_data import coco_content


def evaluate(file, kind, fast):
    """The twelve numbers of a perfect prediction."""
    predictions = []
    for i, entry in enumerate(file.anns.values()):
        image = file.imgs[entry['image_id']]
        prediction = dict(image_id=entry['image_id'], category_id=entry['category_id'], score=0.9 - i / 1000)
        if kind == 'segm':
            prediction['segmentation'] = as_rle(entry['segmentation'], image['width'], image['height'])
        else:
            prediction['bbox'] = list(entry['bbox'])
        if not entry['iscrowd']:
            predictions.append(prediction)
    if not predictions:
        return np.full(12, -1.0)
    with evaluated_by(faster_evaluation()) if fast else contextlib.nullcontext():
        assert fast == (coco_metric.COCOeval is not COCOeval)
        evaluation = coco_metric.COCOeval(file, file.loadRes(predictions), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.array(evaluation.stats)


def check_mutation(folder, content, masks):
    """'read' or 'refused'; fails for anything else."""
    path = write(folder, json.dumps(content))
    try:
        file = read_coco(str(path), masks=masks)
    except UserError as error:
        assert str(error).startswith(str(path)) and '\n' not in str(error) and len(str(error)) < 700, str(error)
        return 'refused'
    for kind in ('bbox', 'segm') if masks else ('bbox',):
        found = [evaluate(read_coco(str(path), masks=masks), kind, fast) for fast in (False, True)]
        assert abs(found[0] - found[1]).max() < 1e-9
        objects = [entry for entry in file.anns.values() if not entry['iscrowd']]
        if kind == 'bbox' and all(min(entry['bbox'][2:]) > 0 and entry['area'] < 1e10 for entry in objects):
            assert found[0][0] > 0.999 or not objects or len({str(entry['bbox']) for entry in objects}) < len(objects)
    return 'read'


def base_content(seed):
    """A content of each kind in turn."""
    names = [*ODD, *RARE]
    name = names[seed % len(names)]
    return odd_content(name) if name in ODD else RARE[name](copy.deepcopy(coco_content()))


def run(folder, seeds, masks):
    ends = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        content = mutate_coco(base_content(seed) if seed % 2 else coco_content(), rng)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                ends.append(check_mutation(folder, content, masks))
        except Exception as error:
            raise AssertionError(f'mutation of seed {seed}, masks={masks}: {error!r}') from error
    return ends


@pytest.mark.parametrize('first', range(0, 300, 50))
def test_a_mutation_is_refused_in_one_line_or_evaluated(first, tmp_path):
    ends = run(tmp_path, range(first, first + 50), masks=first % 100 == 0)
    assert 0 < ends.count('read') < 50


@pytest.mark.slow
def test_thousands_of_mutations(tmp_path):
    ends = run(tmp_path, range(1000, 6000), True)
    assert 500 < ends.count('read') < 4000


@pytest.mark.parametrize('first, count', [(0, 60), pytest.param(10_000, 3000, marks=pytest.mark.slow)])
def test_a_mutation_leaves_something_to_learn_or_is_told(first, count, coco_images):
    read = 0
    for seed in range(first, first + count):
        try:
            dataset = coco_images(mutate_coco(coco_content(), np.random.default_rng(seed)))
            samples = [dataset[index]['data_samples'] for index in range(len(dataset))]
        except UserError as error:
            assert '\n' not in str(error), f'seed {seed}: {error}'
            continue
        read += 1
        assert sum(len(sample.gt_instances) for sample in samples), f'seed {seed}: nothing is learnt'
    assert 0 < read < count
