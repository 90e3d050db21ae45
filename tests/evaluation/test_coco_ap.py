"""Average precision by either library: the same numbers, for the right classes."""

import json
import sys
from pathlib import Path

import faster_coco_eval
import numpy as np
import pycocotools.cocoeval
import pytest
import torch
from mmdet.evaluation.metrics import CocoMetric
from pycocotools import mask as coco_mask

from mae_transfer.errors import UserError
from mae_transfer.evaluation.coco_ap import CocoAP
from mae_transfer.progress import Waiting
from tests.own_data import annotation, coco_content, write_coco

NAMES = ('a', 'b', 'c', 'd')
SIDE = 160


@pytest.fixture
def fast_or_not(request, monkeypatch):
    """Whether faster-coco-eval can be imported."""
    if not request.param:
        monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
    return request.param


def disc(x, y, width, height):
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    return (((columns - x - width / 2) / (width / 2)) ** 2 + ((rows - y - height / 2) / (height / 2)) ** 2 <= 1).astype(
        np.uint8
    )


def rle(mask):
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return dict(encoded, counts=encoded['counts'].decode())


@pytest.fixture(scope='module')
def synthetic(tmp_path_factory):
    """(ground truth file, predictions) with all special cases.

    Crowds, images without objects or without predictions, tied scores, three sizes of objects, a class without objects,
    masks as polygons and as RLE, more predictions than are counted.
    """
    rng = np.random.default_rng(3)
    images, annotations, predictions = [], [], []
    for i in range(14):
        images.append(dict(id=100 - i, file_name=f'{i}.jpg', width=SIDE, height=SIDE))
        boxes, scores, labels, masks = [], [], [], []
        for j in range(0 if i == 3 else int(rng.integers(1, 7))):
            side = rng.choice([14, 50, 120], 2) + rng.integers(0, 12, 2)
            x, y = (rng.random(2) * (SIDE - side)).round(2)
            label, crowd = int(rng.integers(3)), int(rng.random() < 0.2)
            box = [float(x), float(y), float(side[0]), float(side[1])]
            mask = rle(disc(*box))
            entry = annotation(
                len(annotations) + 1, 100 - i, label + 1, tuple(box), iscrowd=crowd, area=float(coco_mask.area(mask))
            )
            annotations.append(entry if j % 2 and not crowd else dict(entry, segmentation=mask))
            for _ in range(int(rng.integers(0, 4))):
                shift = rng.normal(0, 0.06, 4) * np.array([*side, *side])
                left, top = np.clip(box[:2] + shift[:2], 0, SIDE - 6)
                width, height = np.clip(side + shift[2:], 5, [SIDE - left, SIDE - top])
                boxes.append([left, top, left + width, top + height])
                scores.append(round(float(rng.random()), 1))  # ties
                labels.append(label if rng.random() < 0.8 else int(rng.integers(4)))
                masks.append(disc(left, top, width, height))
        if i in (5, 3):  # no predictions, and many for an image without objects
            count = 0 if i == 5 else 130
            boxes, scores, labels = (
                (rng.random((count, 2)) * 120).repeat(2, 1).tolist(),
                rng.random(count).tolist(),
                [1] * count,
            )
            boxes = [[x, y, x + 30, y + 40] for x, _, y, _ in boxes]
            masks = [disc(x, y, 30, 40) for x, y, *_ in boxes]
        predictions.append((100 - i, boxes, scores, labels, masks))
    content = dict(
        images=images, annotations=annotations, categories=[dict(id=k + 1, name=name) for k, name in enumerate(NAMES)]
    )
    file = tmp_path_factory.mktemp('coco_ap') / 'truth.json'
    file.write_text(json.dumps(content))
    return str(file), predictions


def samples(predictions):
    for image, boxes, scores, labels, masks in predictions:
        yield dict(
            img_id=image,
            ori_shape=(SIDE, SIDE),
            pred_instances=dict(
                bboxes=torch.tensor(boxes).reshape(-1, 4),
                scores=torch.tensor(scores),
                labels=torch.tensor(labels, dtype=torch.long),
                masks=torch.from_numpy(np.array(masks, dtype=bool).reshape(-1, SIDE, SIDE)),
            ),
        )


def evaluate(metric, predictions, classes=NAMES):
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, list(samples(predictions)))
    return metric.evaluate(len(predictions))


def watch(monkeypatch):
    """A list to which each evaluation appends whether it is the fast one, and its arrays."""
    seen = []
    original = pycocotools.cocoeval.COCOeval.summarize

    def summarize(self):
        original(self)
        seen.append(
            (
                isinstance(self, faster_coco_eval.COCOeval_faster),
                self.stats,
                self.eval['precision'],
                self.eval['recall'],
            )
        )

    monkeypatch.setattr(pycocotools.cocoeval.COCOeval, 'summarize', summarize)
    return seen


@pytest.mark.parametrize(
    'settings',
    [
        dict(),
        dict(proposal_nums=(1, 100, 20)),
        dict(iou_thrs=np.array([0.3, 0.75])),
        dict(metric_items=['mAP', 'AR@1000']),
    ],
)
def test_both_libraries_give_the_same_numbers(settings, synthetic, monkeypatch):
    """All twelve statistics, and precision and recall by class, size, threshold and number of predictions, to 1e-12."""
    file, predictions = synthetic
    seen = watch(monkeypatch)
    kinds = dict(metric=['bbox', 'segm'], classwise='iou_thrs' not in settings)
    fast = evaluate(CocoAP(file, **kinds, **settings), predictions)
    monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
    slow = evaluate(CocoAP(file, **kinds, **settings), predictions)
    theirs = evaluate(CocoMetric(file, **kinds, **settings), predictions)
    assert [fast for fast, *_ in seen] == [True] * 2 + [False] * 4
    for (_, *of_fast), (_, *of_slow) in zip(seen[:2], seen[2:4]):
        for one, other in zip(of_fast, of_slow):
            assert one.shape == np.shape(other) and abs(one - other).max() < 1e-12
    np.testing.assert_equal(dict(fast), dict(theirs))
    np.testing.assert_equal(dict(slow), dict(theirs))
    if not settings:
        assert 0.1 < fast['coco/bbox_mAP'] < 0.9 and fast['coco/bbox_mAP'] != fast['coco/segm_mAP']
        assert all(fast[f'coco/{kind}_mAP_{size}'] > 0 for kind in ('bbox', 'segm') for size in 'sml')
        assert np.isnan(fast['coco/d_precision']) and fast['coco/a_precision'] > 0


@pytest.mark.parametrize('fast_or_not', [True, False], indirect=True)
def test_the_library_in_use_is_logged(fast_or_not, synthetic, monkeypatch):
    logged = []
    monkeypatch.setattr('mae_transfer.evaluation.coco_ap.print_log', lambda text, **settings: logged.append(text))
    evaluate(CocoAP(synthetic[0]), synthetic[1])
    assert logged == [f'average precision by {"faster-coco-eval" if fast_or_not else "pycocotools"}']


@pytest.fixture
def own(tmp_path):
    """(file, perfect predictions for the dogs only, label 0 of ('dog', 'traffic light')).

    The file's categories are not sorted.
    """
    write_coco(tmp_path)
    content = coco_content(2)
    dogs = {a['image_id']: a['bbox'] for a in content['annotations'] if a['category_id'] == 3}
    perfect = [(image, [[x, y, x + w, y + h]], [0.9], [0], [disc(x, y, w, h)]) for image, (x, y, w, h) in dogs.items()]
    return str(tmp_path / 'annotations/instances_val2017.json'), perfect


@pytest.mark.parametrize('fast_or_not', [True, False], indirect=True)
@pytest.mark.parametrize('classes, label', [(('dog', 'traffic light'), 0), (('traffic light', 'dog'), 1)])
def test_labels_are_matched_with_categories_by_name(fast_or_not, classes, label, own):
    """Regardless of the order of the classes in file and config; MMDetection's metric uses the file's order."""
    file, perfect = own
    predictions = [(image, boxes, scores, [label], masks) for image, boxes, scores, _, masks in perfect]
    metric = CocoAP(file, classwise=True)
    evaluate(metric, predictions, classes)
    found = evaluate(metric, predictions, classes)  # as in a second epoch
    assert (found['coco/dog_precision'], found['coco/traffic light_precision'], found['coco/bbox_mAP']) == (1, 0, 0.5)


@pytest.mark.parametrize('fast_or_not', [True, False], indirect=True)
def test_nothing_detected_is_an_ap_of_zero(fast_or_not, own):
    file, perfect = own
    none = [(image, [], [], [], []) for image, *_ in perfect]
    found = evaluate(CocoAP(file, metric=['bbox', 'segm']), none, ('dog', 'traffic light'))
    assert [found[f'coco/{kind}_mAP{size}'] for kind in ('bbox', 'segm') for size in ('', '_s', '_l')] == [0, 0, -1] * 2


def test_annotations_of_other_images_or_classes_are_refused(own):
    file, perfect = own
    with pytest.raises(
        UserError, match="lists no image with id 99, but the data set has: set the evaluator's ann_file"
    ):
        evaluate(CocoAP(file), [(99, *perfect[0][1:])], ('dog',))
    with pytest.raises(UserError, match="has no category 'horse'"):
        evaluate(CocoAP(file), perfect, ('horse',))


def test_masks_cannot_be_evaluated_without_segmentations(tmp_path):
    content = coco_content()
    for entry in content['annotations']:
        del entry['segmentation']
    file = tmp_path / 'boxes.json'
    file.write_text(json.dumps(content))
    CocoAP(str(file), metric='bbox')
    with pytest.raises(
        UserError, match='7 of 7 annotations have no segmentation, which training and evaluating masks requires'
    ):
        CocoAP(str(file), metric=['bbox', 'segm'])


FORMAT_ONLY = 'test_evaluator.format_only=True test_evaluator.outfile_prefix=work_dirs/predictions'


@pytest.mark.parametrize(
    'change, says',
    [
        (lambda content: content.pop('annotations'), "no list of dictionaries 'annotations'"),
        (lambda content: content.update(annotations=None), "no list of dictionaries 'annotations'"),
        (lambda content: content.update(annotations=[]), "the list 'annotations' is empty"),
        (
            lambda content: [entry.update(iscrowd=1) for entry in content['annotations']],
            'has no object to evaluate of the classes cow, dog, traffic light: all 7 are crowds (iscrowd=1)',
        ),
    ],
)
def test_without_an_object_there_is_no_ap(change, says, tmp_path):
    """And the advice works: predictions are written, with the ids that the file has."""
    content = coco_content()
    change(content)
    for part in ('images', 'categories'):
        for entry in content[part]:
            entry['id'] = f'{part}_{entry["id"]}'
    for entry in content.get('annotations') or []:
        entry.update(image_id=f'images_{entry["image_id"]}', category_id=f'categories_{entry["category_id"]}')
    file = tmp_path / 'unlabelled.json'
    file.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        CocoAP(str(file), metric=['bbox', 'segm'])
    assert says in str(caught.value) and FORMAT_ONLY in str(caught.value) and '\n' not in str(caught.value)
    prefix = tmp_path / 'new/predictions'
    metric = CocoAP(str(file), metric=['bbox', 'segm'], format_only=True, outfile_prefix=str(prefix))
    predictions = [(1, [[1, 2, 30, 40]], [0.9], [1], [disc(1, 2, 29, 38)]), (2, [], [], [], [])]
    assert evaluate(metric, predictions, ('dog', 'traffic light')) == {}
    for kind in ('bbox', 'segm'):
        [written] = json.loads((tmp_path / f'new/predictions.{kind}.json').read_text())
        assert (written['image_id'], written['category_id']) == ('images_10', 'categories_7')


def test_nothing_written_without_a_place_for_it():
    with pytest.raises(UserError, match='set outfile_prefix too, e.g. --cfg-options test_evaluator.outfile_prefix='):
        CocoAP(None, format_only=True)


@pytest.mark.parametrize('fast_or_not', [True, False], indirect=True)
def test_classes_without_an_object_have_no_ap(fast_or_not, own):
    """The cow is not in the two images."""
    file, perfect = own
    with pytest.raises(
        UserError, match='has no object to evaluate of the classes horse: there is none; annotate some, or'
    ):
        content = json.loads(Path(file).read_text())
        content['categories'].append(dict(id=9, name='horse'))
        Path(file).write_text(json.dumps(content))
        evaluate(CocoAP(file), perfect, ('horse',))


@pytest.mark.parametrize('metric', ['bbox', 'proposal'])
def test_an_ap_of_minus_one_is_an_error(metric, own):
    """Objects of an area beyond 10 billion pixels are counted by neither library."""
    file, perfect = own
    content = json.loads(Path(file).read_text())
    for number, entry in enumerate(list(content['annotations'])):
        # As many cows with areas that fit their boxes: if most did not fit, they would be worked out.
        content['annotations'].append(annotation(100 + number, entry['image_id'], 5, (1, 1, 9 + number, 9)))
        entry['area'] = 1e12
    Path(file).write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'is -1.0, which means that no object was evaluated: look at the annotations'):
        evaluate(CocoAP(file, metric=metric), perfect, ('dog', 'traffic light'))


@pytest.mark.parametrize('numbers', [(1, 10, 300), (100,), (100, 300)])
def test_numbers_of_predictions_without_an_ap_are_refused(numbers, own):
    with pytest.raises(
        UserError, match=r'gives no AP: COCO counts the best 100 predictions of an image; give three num'
    ):
        CocoAP(own[0], proposal_nums=numbers)
    CocoAP(own[0], metric='proposal_fast', proposal_nums=numbers)


@pytest.mark.parametrize(
    'settings, says',
    [
        (dict(metric='mAP'), "the evaluator's metric has no 'mAP': choose among bbox, segm, proposal, proposal_fast"),
        (dict(metric_items=['AP50']), "metric_items has no 'AP50': choose among mAP, mAP_50, "),
        (dict(iou_thrs=50), r'iou_thrs are overlaps \(IoU\) above 0, up to 1, e.g. 0.5; found 50'),
        (dict(iou_thrs=[]), 'iou_thrs are'),
    ],
)
def test_impossible_settings_are_refused_before_the_run(settings, says, own):
    with pytest.raises(UserError, match=says):
        CocoAP(own[0], **settings)


def test_a_model_without_masks_is_told(own):
    sample = dict(img_id=10, ori_shape=(90, 70), pred_instances=dict(bboxes=torch.zeros(0, 4)))
    with pytest.raises(UserError, match='predicts no masks: evaluate boxes alone, --cfg-options val_evaluator.metric='):
        CocoAP(own[0], metric=['bbox', 'segm']).process({}, [sample])


@pytest.mark.parametrize('metric', ['bbox', 'segm', 'proposal'])
def test_all_that_pycocotools_compares_is_counted(metric, synthetic, monkeypatch):
    told = []

    class Told(Waiting):
        def __call__(self, done, total=None):
            told.append((self.what, done, total))

    monkeypatch.setattr('mae_transfer.evaluation.coco_ap.Waiting', Told)
    monkeypatch.setattr('mae_transfer.evaluation.coco_ap.has_faster_coco_eval', lambda: False)
    file, predictions = synthetic
    evaluate(CocoAP(str(file), metric=metric), predictions)
    (what,), done, (total,) = {one[0] for one in told}, [one[1] for one in told], {one[2] for one in told}
    assert done == [*range(1, total + 1)] and what.startswith('masks' if metric == 'segm' else 'boxes')


@pytest.mark.parametrize('fast_or_not', [True, False], indirect=True)
def test_many_predictions_are_told_when_their_comparison_begins(fast_or_not, own, monkeypatch, capsys):
    file, perfect = own
    evaluate(CocoAP(file), perfect, ('dog', 'traffic light'))
    assert capsys.readouterr().err == ''
    monkeypatch.setattr('mae_transfer.evaluation.coco_ap._MANY', 0)
    evaluate(CocoAP(file), perfect, ('dog', 'traffic light'))
    assert 'boxes compared with the truth, steps: begun\n' in capsys.readouterr().err


def test_a_large_file_is_told_when_it_is_read(own, monkeypatch, capsys):
    CocoAP(own[0])
    assert capsys.readouterr().err == ''
    monkeypatch.setattr('mae_transfer.data.coco.json_files._LARGE', 0)
    CocoAP(own[0])
    assert f'{own[0]} read and checked: begun\n' in capsys.readouterr().err
