"""Models that learnt four real images by heart find what is in them, as well as tools/test.py says. Minutes each."""

import contextlib
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mae_transfer.inference.prediction import predict
from mae_transfer.inference.trained import load
from tests.test_overfit import DATA, run


def overfitted(kind, folder):
    """A model of a kind, loaded, and what tools/test.py prints of it."""
    if not (DATA / f'{kind}_mini').is_dir():
        pytest.skip(f'no {DATA}/{kind}_mini: set MAE_TRANSFER_DATA to the folder that holds {kind}_mini/')
    config, root = f'configs/small/overfit_{kind}.py', f'data_root={DATA}/{kind}_mini'
    run('tools/train.py', config, '--work-dir', str(folder / 'run'), '--cfg-options', root)
    judged = run(
        *('tools/test.py', config, str(folder / 'run'), '--work-dir', str(folder / 'test'), '--cfg-options', root)
    )
    return load(folder / 'run', device='cpu'), judged


def truth_of(names):
    """COCO's annotations of some images."""
    content = json.loads((DATA / 'coco_mini/annotations/instances_train2017.json').read_text())
    images = [image for image in content['images'] if image['file_name'] in names]
    ids = {image['id'] for image in images}
    return dict(content, images=images, annotations=[one for one in content['annotations'] if one['image_id'] in ids])


def quiet(call, *args):
    with contextlib.redirect_stdout(io.StringIO()):
        return call(*args)


def precision(truth, predictions, kind):
    """AP of a file of predictions, by pycocotools."""
    coco = COCO()
    coco.dataset = truth
    quiet(coco.createIndex)
    ids = {image['file_name']: image['id'] for image in truth['images']}
    names = {image['id']: image['file_name'] for image in predictions['images']}
    categories = {category['name']: category['id'] for category in truth['categories']}
    own = {category['id']: category['name'] for category in predictions['categories']}
    results = [
        dict(one, image_id=ids[names[one['image_id']]], category_id=categories[own[one['category_id']]])
        for one in predictions['annotations']
    ]
    if kind == 'segm':
        results = [{key: value for key, value in one.items() if key != 'bbox'} for one in results]
    judge = COCOeval(coco, quiet(coco.loadRes, results), kind)
    for step in (judge.evaluate, judge.accumulate, judge.summarize):
        quiet(step)
    return judge.stats[0]


def found_share(truth, predictions, least):
    """The share of true objects that a prediction of their class and a score of ``least`` has, by an IoU of .5."""
    categories = {category['id']: category['name'] for category in truth['categories']}
    own = {category['id']: category['name'] for category in predictions['categories']}
    files = {image['id']: image['file_name'] for image in truth['images']}
    own_files = {image['id']: image['file_name'] for image in predictions['images']}
    found = []
    for true in truth['annotations']:
        x, y, w, h = true['bbox']
        hits = []
        for one in predictions['annotations']:
            left, top, width, height = one['bbox']
            inner = max(0, min(x + w, left + width) - max(x, left)) * max(0, min(y + h, top + height) - max(y, top))
            is_same = own_files[one['image_id']] == files[true['image_id']]
            is_same &= own[one['category_id']] == categories[true['category_id']] and one['score'] >= least
            hits.append(is_same and inner / (w * h + width * height - inner) >= 0.5)
        found.append(any(hits))
    return np.mean(found)


@pytest.mark.slow
def test_the_objects_of_four_images_are_found(tmp_path):
    trained, judged = overfitted('coco', tmp_path)
    folder = DATA / 'coco_mini/train2017'
    names = ['000000024577.jpg', '000000057345.jpg', '000000072258.jpg', '000000084533.jpg']
    check_objects(trained, judged, [folder / name for name in names], truth_of(names), tmp_path)


def check_objects(trained, judged, images, truth, folder):
    for batch_size in (1, 4):
        result = predict(trained, images, folder / f'out{batch_size}', batch_size=batch_size)
        predictions = json.loads(result.predictions.read_text())
        for kind in ('bbox', 'segm'):
            told = float(re.findall(rf'coco/{kind}_mAP: (\S+)', judged)[-1])
            assert precision(truth, predictions, kind) == pytest.approx(told, abs=0.002), kind
        assert found_share(truth, predictions, 0.3) > 0.8
    check_four_together(trained, images, truth, folder)


def check_four_together(trained, images, truth, folder):
    """The photos side by side in one large picture: tiles of their size find each object where it is, once."""
    sheet = Image.new('RGB', (1280, 1280))
    moved = dict(truth, images=[dict(id=1, file_name='sheet.png', width=1280, height=1280)], annotations=[])
    for number, image in enumerate(images):
        left, top = 640 * (number % 2), 640 * (number // 2)
        sheet.paste(Image.open(image).convert('RGB'), (left, top))
        (own,) = [entry['id'] for entry in truth['images'] if entry['file_name'] == image.name]
        for one in truth['annotations']:
            if one['image_id'] == own:
                x, y, w, h = one['bbox']
                moved['annotations'].append(dict(one, image_id=1, bbox=[x + left, y + top, w, h]))
    (folder / 'sheet').mkdir(exist_ok=True)
    sheet.save(folder / 'sheet/sheet.png')
    result = predict(trained, folder / 'sheet', folder / 'tiled', tile=640, score=0.3)
    tiled = found_share(moved, json.loads(result.predictions.read_text()), 0.3)
    result = predict(trained, folder / 'sheet', folder / 'untiled', score=0.3)
    assert tiled > found_share(moved, json.loads(result.predictions.read_text()), 0.3) and tiled > 0.6


@pytest.mark.slow
def test_the_classes_of_four_images_are_found(tmp_path):
    trained, judged = overfitted('ade', tmp_path)
    names = sorted(path.name for path in (DATA / 'ade_mini/images/training').glob('*.jpg'))
    check_label_maps(trained, judged, [names[place] for place in (0, 2, 3, 4)], tmp_path)


def check_label_maps(trained, judged, names, folder):
    images = [DATA / 'ade_mini/images/training' / name for name in names]
    for batch_size in (1, 4):
        result = predict(trained, images, folder / f'out{batch_size}', batch_size=batch_size)
        inner, found, true = (np.zeros(151) for _ in range(3))
        for name in names:
            png = name.replace('.jpg', '.png')
            labels = np.asarray(Image.open(DATA / 'ade_mini/annotations/training' / png))
            predicted = np.asarray(Image.open(result.predictions / png))
            assert predicted.min() > 0
            counted = labels > 0
            inner += np.bincount(labels[counted & (labels == predicted)], minlength=151)
            found += np.bincount(predicted[counted], minlength=151)
            true += np.bincount(labels[counted], minlength=151)
        with np.errstate(invalid='ignore'):
            share = 100 * np.nanmean((inner / (found + true - inner))[1:])
        assert share == pytest.approx(float(re.findall(r' mIoU: (\S+)', judged)[-1]), abs=0.02)
