"""Sections of trained models: the figures of tools/test.py, and what is worst first."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from mmdet.models.detectors import MaskRCNN
from PIL import Image

from mae_transfer.dense.segmentor import AnySizeSegmentor
from mae_transfer.errors import UserError
from mae_transfer.reporting.evaluated import evaluated_sections
from mae_transfer.reporting.sections import Plot
from tests.helpers import forget_instances
from tests.inference.runs import short_run
from tests.own_data import SIZES, label_map, photo
from tests.reporting.evaluations import figures_of_tool, found_objects, half_right, nothing_found, pictures, tables
from tests.tools import test_mocov3
from tests.tools.commands import train, write_photos


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """``runs(task)``: the run of a task, trained when it is first asked for."""
    known = {}

    def run(task):
        if task not in known:
            torch.manual_seed(0)
            known[task] = short_run(task, tmp_path_factory.mktemp(task))
            forget_instances()
        return known[task]

    return run


@pytest.fixture
def coco(runs, tmp_path):
    """The data of the detector's run with a third image to evaluate, without annotations, and grey photos."""
    root = tmp_path / 'coco'
    shutil.copytree(runs('detect').data, root)
    file = root / 'annotations/instances_val2017.json'
    content = json.loads(file.read_text())
    photo(root / 'val2017/2.jpg', SIZES[2])
    content['images'].append(dict(id=12, file_name='2.jpg', width=SIZES[2][0], height=SIZES[2][1]))
    file.write_text(json.dumps(content))
    for path in (root / 'val2017').iterdir():
        Image.open(path).convert('L').save(path)
    return root


def test_detection_on_an_image_without_annotations_and_grey_photos(runs, coco, tmp_path, monkeypatch):
    monkeypatch.setattr(MaskRCNN, 'predict', found_objects)
    run = runs('detect')
    figures, curves, confusion, worst = evaluated_sections(run.work_dir, device='cpu', data_root=str(coco))
    told = figures_of_tool(run, tmp_path / 'test', '--cfg-options', f'data_root={coco}')
    total, by_class = tables(figures)
    items = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
    for (name, *row), kind in zip(total.rows, ('bbox', 'segm')):
        expected = [told[f'coco/{kind}_{item}'] for item in items]
        assert row == [None if value < 0 else pytest.approx(100 * value) for value in expected], name
    assert figures.text == 'epoch_1.pth on 3 images of its test data. They have 4 objects of 2 classes.'
    # A light is found first, at a recall of a half; of COCO's 101 recalls 51 are that or less.
    assert by_class.rows[0][:5] == ('traffic light', 2, 50.5, 50.5, 50.5)
    assert by_class.rows[1][:5] == ('dog', 2, 100.0, 100.0, 100.0)
    assert total.rows[0][1] == pytest.approx(np.mean([row[2] for row in by_class.rows]), abs=0.06)
    assert 0 < total.rows[1][1] < total.rows[0][1]  # true masks are halves of the boxes
    assert [type(part) for part in curves.parts] == [Plot, Plot]
    assert all(part.svg.startswith('<svg') and 'recall' in part.svg for part in curves.parts)
    assert 'dog' in curves.parts[1].svg and 'masks, IoU 0.75' in curves.parts[0].svg
    assert len(pictures(confusion)) == 1
    assert [picture.caption for picture in pictures(worst)] == [
        '2.jpg: F1 0.00; 0 of 0 objects found, 0 missed, 1 false',
        '0.jpg: F1 0.40; 1 of 2 objects found, 1 missed, 2 false',
        '1.jpg: F1 1.00; 2 of 2 objects found, 0 missed, 0 false',
    ]
    assert len({picture.image.tobytes() for picture in pictures(worst)}) == 3


def test_a_detector_as_it_was_trained(runs, tmp_path):
    run = runs('detect')
    sections = evaluated_sections(run.work_dir, pictures=1, device='cpu', test_evaluator__metric='bbox')
    told = figures_of_tool(run, tmp_path, '--cfg-options', 'test_evaluator.metric=bbox')
    assert len(tables(sections[0])[0].rows) == 1 and 'masks' not in sections[1].parts[0].svg
    assert tables(sections[0])[0].rows[0][1] == pytest.approx(100 * told['coco/bbox_mAP'])
    assert len(pictures(sections[3])) == 1


def test_nothing_found_and_a_class_without_objects(runs, coco, monkeypatch):
    monkeypatch.setattr(MaskRCNN, 'predict', nothing_found)
    file = coco / 'annotations/instances_val2017.json'
    content = json.loads(file.read_text())
    content['annotations'] = [one for one in content['annotations'] if one['category_id'] != 3]  # the dogs
    file.write_text(json.dumps(content))
    figures, curves, _, worst = evaluated_sections(runs('detect').work_dir, 2, 'cpu', data_root=str(coco))
    total, by_class = tables(figures)
    assert [row[1] for row in total.rows] == [0, 0]
    assert by_class.rows == (('traffic light', 2, *[0.0] * 6),)
    assert by_class.caption.endswith('Left out, as they are without an object: dog.')
    assert 'dog' not in curves.parts[1].svg
    assert [picture.caption.split(':')[0] for picture in pictures(worst)] == ['0.jpg', '1.jpg']


def test_segmentation(runs, tmp_path, monkeypatch):
    run = runs('segment')
    monkeypatch.setattr(AnySizeSegmentor, 'predict', half_right)
    figures, confusion, worst = evaluated_sections(run.work_dir, device='cpu')
    told = figures_of_tool(run, tmp_path)
    total, by_class = tables(figures)
    assert {*total.columns} == {'mIoU', 'mAcc', 'aAcc'}
    assert dict(zip(total.columns, total.rows[0])) == {name: told[name] for name in total.columns}
    assert 50 < told['mIoU'] < 100
    assert np.mean([row[2] for row in by_class.rows]) == pytest.approx(told['mIoU'], abs=0.01)
    assert np.mean([row[3] for row in by_class.rows]) == pytest.approx(told['mAcc'], abs=0.01)
    assert by_class.rows[0][2] < by_class.rows[1][2] and {row[0] for row in by_class.rows} == {'road', 'field'}
    assert len(pictures(confusion)) == 1
    first, second = pictures(worst)
    assert first.caption.startswith('1.jpg: mIoU ') and second.caption == '0.jpg: mIoU 100.0'
    labels = np.asarray(Image.open(run.data / 'annotations/validation/1.png')).astype(int) - 1
    wrong = labels.copy()
    wrong[:, : wrong.shape[1] // 2] = 1 - wrong[:, : wrong.shape[1] // 2]
    ious = [
        ((labels == c) & (wrong == c)).sum() / (((labels == c) | (wrong == c)) & (labels >= 0)).sum() for c in (0, 1)
    ]
    assert first.caption == f'1.jpg: mIoU {100 * np.mean(ious):.1f}'


def test_a_segmentor_as_it_was_trained_on_a_class_without_pixels(runs, tmp_path):
    run, root = runs('segment'), tmp_path / 'data'
    shutil.copytree(run.data, root)
    for number, size in enumerate(SIZES[:2]):
        label_map(root / f'annotations/validation/{number}.png', size, high=1, seed=number)  # no field
    figures, _, _ = evaluated_sections(run.work_dir, 0, 'cpu', cfg_options=dict(data_root=str(root)))
    told = figures_of_tool(run, tmp_path / 'test', '--cfg-options', f'data_root={root}')
    total, by_class = tables(figures)
    assert dict(zip(total.columns, total.rows[0])) == {name: told[name] for name in total.columns}
    assert [row[0] for row in by_class.rows] == ['road'] and by_class.rows[0][3] == told['mAcc']
    assert by_class.caption.endswith('Left out, as they are without a pixel, labelled or predicted: field.')


def test_classification(runs, tmp_path):
    run, root = runs('classify'), tmp_path / 'data'
    shutil.copytree(run.data, root)
    shutil.copy(root / 'val/blue/0.png', root / 'val/red/blue.png')  # a mistake of the labels
    figures, confusion, worst = evaluated_sections(run.work_dir, device='cpu', data_root=str(root))
    told = figures_of_tool(run, tmp_path / 'test', '--cfg-options', f'data_root={root}')
    total, by_class = tables(figures)
    assert total.columns == ('top-1', 'mean class')
    assert total.rows[0] == pytest.approx((told['accuracy/top1'], told['accuracy/mean_class']), abs=0.01)
    assert by_class.rows == (('red', 4, 75.0), ('blue', 3, 100.0), ('green', 3, 100.0))
    assert len(pictures(confusion)) == 1
    (mistake,) = pictures(worst)
    assert mistake.caption.startswith('red/blue.png: truth red, prediction blue, score 0.')
    assert mistake.image.shape == (160, 160, 3)
    assert mistake.image.reshape(-1, 3).mean(0).argmax() == 2  # the photo is blue


def test_pretraining_leaves_out_what_cannot_be_read(runs, tmp_path):
    run = runs('pretrain')
    photos = tmp_path / 'photos'
    shutil.copytree(run.data, photos)
    (photos / '005.jpg').write_bytes(b'no image')
    changes = {'data_root': str(photos), 'test_dataloader.dataset.hold_out': 1.0}
    figures, worst = evaluated_sections(run.work_dir, 5, 'cpu', cfg_options=changes)
    told = figures_of_tool(
        run, tmp_path / 'test', '--cfg-options', f'data_root={photos}', 'test_dataloader.dataset.hold_out=1.0'
    )
    rows = dict(tables(figures)[0].rows)
    assert rows['reconstruction/masked_loss'] == pytest.approx(told['reconstruction/masked_loss'], abs=1e-4)
    assert '1 unreadable images were left out: 005.jpg' in figures.text
    found = [picture.caption.split(': loss ') for picture in pictures(worst)]
    losses = [float(loss) for _, loss in found]
    assert losses == sorted(losses, reverse=True) and len({name for name, _ in found}) == 5
    assert losses[0] == pytest.approx(rows['loss of the worst photo'], abs=1e-3)
    assert '005.jpg' not in dict(found)


def test_a_pretraining_without_reconstructions_has_its_figures(tmp_path):
    photos = write_photos(tmp_path / 'photos', 24)
    options = test_mocov3.small(photos, test_dataloader__dataset__hold_out=0.5)
    train(test_mocov3.CONFIG, '--work-dir', tmp_path / 'run', *options)
    (figures,) = evaluated_sections(tmp_path / 'run', device='cpu')
    assert [row[0] for row in tables(figures)[0].rows] == ['views/accuracy', 'views/loss']


@pytest.mark.parametrize('task', ['detect', 'classify'])
def test_an_image_that_cannot_be_read_ends_it_as_it_ends_the_test(task, runs, tmp_path):
    run, root = runs(task), tmp_path / 'data'
    shutil.copytree(run.data, root)
    (root / ('val2017/1.jpg' if task == 'detect' else 'val/red/1.png')).write_bytes(b'no image')
    with pytest.raises(UserError, match=r'1\.(jpg|png) (is not an image|cannot be read)') as refusal:
        evaluated_sections(run.work_dir, device='cpu', data_root=str(root), test_dataloader__num_workers=1)
    assert '\n' not in str(refusal.value)


def test_missing_data_names_the_data_root(runs):
    with pytest.raises(UserError, match='/no/such/folder.* does not exist: set the data root, e.g. data_root=path'):
        evaluated_sections(runs('classify').work_dir, device='cpu', data_root='/no/such/folder')


@pytest.mark.parametrize(
    'changes, says',
    [
        ({'test_evaluator.format_only': True, 'test_evaluator.outfile_prefix': 'x'}, 'format_only=True writes'),
        ({'test_evaluator': []}, 'its figures follow from a CocoMetric, and test_evaluator has none'),
    ],
)
def test_a_detector_that_is_not_compared_with_the_truth(changes, says, runs):
    with pytest.raises(UserError, match=says):
        evaluated_sections(runs('detect').work_dir, device='cpu', cfg_options=changes)


@pytest.mark.parametrize('pictures', [-1, 1.5, True])
def test_a_number_of_pictures_that_is_none(pictures, tmp_path):
    with pytest.raises(UserError, match='pictures is a whole number, 0 or more; found'):
        evaluated_sections(tmp_path, pictures)
