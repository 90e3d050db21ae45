"""What is predicted for a folder of images is what tools/test.py predicts for them."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from mae_transfer.errors import UserError
from mae_transfer.inference.prediction import predict
from mae_transfer.inference.trained import load
from tests.helpers import save_photo
from tests.inference.runs import DETECTED
from tests.tools.commands import call

#: Everything that the untrained heads give.
ALL_SCORES = {'model.test_cfg.rcnn.score_thr': 0.0, 'model.test_cfg.rcnn.max_per_img': 20}


@pytest.fixture(scope='module')
def detector(runs):
    return load(runs('detect').work_dir, device='cpu', cfg_options=ALL_SCORES)


@pytest.fixture(scope='module')
def segmentor(runs):
    return load(runs('segment').work_dir, device='cpu')


@pytest.fixture(scope='module')
def classifier(runs):
    return load(runs('classify').work_dir, device='cpu')


def evaluated(run, folder, *options):
    """Evaluate a run by tools/test.py, with more options."""
    ended = call('test', run.config, run.work_dir, '--work-dir', folder, *run.options, *options)
    assert ended.code == 0, ended.err
    return ended


@pytest.mark.parametrize('batch_size', [1, 3])
def test_objects_are_those_of_an_evaluation(batch_size, detector, runs, tmp_path):
    run = runs('detect')
    changes = [f'{key}={value}' for key, value in ALL_SCORES.items()]
    evaluated(run, tmp_path / 'test', *changes, f'test_evaluator.outfile_prefix={tmp_path / "own"}')
    expected = json.loads((tmp_path / 'own.segm.json').read_text())
    boxes = json.loads((tmp_path / 'own.bbox.json').read_text())
    truth = json.loads((run.data / 'annotations/instances_val2017.json').read_text())

    result = predict(detector, run.data / 'val2017', tmp_path / 'out', batch_size=batch_size)
    content = json.loads(result.predictions.read_text())
    assert result.images == len(content['images']) == len(truth['images'])
    assert result.count == len(content['annotations']) == len(expected) > 10
    assert [category['name'] for category in content['categories']] == list(DETECTED)
    image_ids = {image['id']: image['file_name'] for image in content['images']}
    true_ids = {image['file_name']: image['id'] for image in truth['images']}
    names = {category['id']: category['name'] for category in content['categories']}
    true_names = {category['name']: category['id'] for category in truth['categories']}
    found = [
        (
            true_ids[image_ids[annotation['image_id']]],
            true_names[names[annotation['category_id']]],
            round(annotation['score'], 5),
            np.round(annotation['bbox'], 2).tolist(),
            annotation['segmentation'],
        )
        for annotation in content['annotations']
    ]
    wanted = [
        (
            one['image_id'],
            one['category_id'],
            round(one['score'], 5),
            np.round(box['bbox'], 2).tolist(),
            one['segmentation'],
        )
        for one, box in zip(expected, boxes, strict=True)
    ]
    assert [entry[:2] for entry in sorted(found, key=str)] == [entry[:2] for entry in sorted(wanted, key=str)]
    if batch_size == 1:
        assert sorted(found, key=str) == sorted(wanted, key=str)
    assert sorted(path.name for path in result.pictures.iterdir()) == ['0.jpg', '1.jpg']


@pytest.mark.parametrize('batch_size', [1, 3])
def test_label_maps_are_those_of_an_evaluation(batch_size, segmentor, runs, tmp_path):
    run = runs('segment')
    evaluated(run, tmp_path / 'test', f'test_evaluator.output_dir={tmp_path / "own"}')
    result = predict(segmentor, run.data / 'images/validation', tmp_path / 'out', batch_size=batch_size)
    own = sorted((tmp_path / 'own').iterdir())
    assert [path.name for path in own] == sorted(path.name for path in result.predictions.iterdir())
    for path in own:
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(result.predictions / path.name)))
    content = json.loads((tmp_path / 'out/classes.json').read_text())
    assert [(entry['number'], entry['name']) for entry in content['classes']] == [(1, 'road'), (2, 'field')]
    assert content['no_class'] == 0 and result.count == len(own)


def test_the_table_of_a_classifier_is_as_accurate_as_the_evaluation(classifier, runs, tmp_path):
    run = runs('classify')
    ended = evaluated(run, tmp_path / 'test')
    result = predict(classifier, run.data / 'val', tmp_path / 'out', batch_size=4)
    rows = list(csv.DictReader(result.predictions.open()))
    assert result.images == 9 and result.count == len(rows) == 27 and result.pictures is None
    best = [row for row in rows if row['rank'] == '1']
    accuracy = 100 * np.mean([row['image'].split('/')[0] == row['class'] for row in best])
    assert f'top1: {accuracy:.4f}' in ended.out
    assert all(abs(sum(float(row['score']) for row in rows[i : i + 3]) - 1) < 1e-4 for i in range(0, 27, 3))


@pytest.fixture
def mixed(tmp_path):
    """Images of several sizes and forms at several depths, two that cannot be read, and a file of another kind."""
    folder = tmp_path / 'images'
    for number, size in enumerate([(70, 50), (50, 70), (70, 50), (64, 64), (70, 50), (50, 70)]):
        save_photo(folder / f'{"ab"[number % 2]}' / f'{number}.png', number, size)
    save_photo(folder / 'grey.jpg', 7, (45, 33), 'L')
    save_photo(folder / 'same.png', 8)
    save_photo(folder / 'same.jpg', 8)
    (folder / 'a' / 'empty.png').touch()
    (folder / 'broken.jpg').write_bytes(b'\xff\xd8\xff' + bytes(50))
    (folder / 'notes.txt').write_text('none')
    return folder


NAMES = ['a/0.png', 'a/2.png', 'a/4.png', 'b/1.png', 'b/3.png', 'b/5.png', 'grey.jpg', 'same.jpg', 'same.png']


@pytest.mark.parametrize('batch_size', [1, 2])
def test_unreadable_images_are_skipped_counted_and_named(batch_size, detector, mixed, tmp_path):
    result = predict(detector, mixed, tmp_path / 'out', batch_size=batch_size)
    content = json.loads(result.predictions.read_text())
    assert [image['file_name'] for image in content['images']] == NAMES
    assert [(image['width'], image['height']) for image in content['images']][3:5] == [(50, 70), (64, 64)]
    assert result.images == len(NAMES)
    assert [line.split(' ')[0] for line in result.skipped] == ['a/empty.png', 'broken.jpg']
    assert 'is empty' in result.skipped[0]
    assert (tmp_path / 'out/skipped_images.txt').read_text().splitlines() == list(result.skipped)
    pictures = {path.relative_to(result.pictures).as_posix() for path in result.pictures.rglob('*.jpg')}
    assert {'a/0.jpg', 'same.png.jpg', 'same.jpg.jpg', 'grey.jpg'} <= pictures and len(pictures) == len(NAMES)
    again = predict(detector, mixed / 'b', tmp_path / 'out', pictures=False)
    assert not (tmp_path / 'out/skipped_images.txt').exists() and again.pictures is None and not again.skipped


def test_unreadable_images_of_other_tasks(segmentor, classifier, mixed, tmp_path):
    for trained in (segmentor, classifier):
        result = predict(trained, mixed, tmp_path / trained.task, batch_size=2)
        assert result.images == len(NAMES) and len(result.skipped) == 2
        assert 'is empty' in result.skipped[0]
    rows = list(csv.DictReader((tmp_path / 'classify/scores.csv').open()))
    assert [row['image'] for row in rows[::3]] == NAMES
    assert np.asarray(Image.open(tmp_path / 'segment/label_maps/same.png.png')).shape == (32, 40)


def test_batches_predict_what_single_images_do(segmentor, classifier, mixed, tmp_path):
    for trained in (segmentor, classifier):
        for batch_size in (1, 4):
            predict(trained, mixed, tmp_path / trained.task / str(batch_size), batch_size=batch_size, pictures=False)
    one, four = (sorted((tmp_path / 'segment' / size / 'label_maps').rglob('*.png')) for size in '14')
    assert len(one) == len(four) == len(NAMES)
    same = [np.mean(np.asarray(Image.open(a)) == np.asarray(Image.open(b))) for a, b in zip(one, four, strict=True)]
    assert min(same) > 0.999
    tables = [list(csv.DictReader((tmp_path / 'classify' / size / 'scores.csv').open())) for size in '14']
    assert all(
        a['image'] == b['image'] and abs(float(a['score']) - float(b['score'])) < 1e-4
        for a, b in zip(*tables, strict=True)
    )


def test_lists_and_files(detector, mixed, tmp_path):
    (tmp_path / 'list.txt').write_text('images/b/5.png\nimages/a/0.png\n')
    for images in (tmp_path / 'list.txt', [mixed / 'b/5.png', str(mixed / 'a/0.png')]):
        content = json.loads(predict(detector, images, tmp_path / 'out').predictions.read_text())
        assert [image['file_name'][-7:] for image in content['images']] == ['b/5.png', 'a/0.png']
    assert predict(detector, [mixed / 'b', mixed / 'grey.jpg'], tmp_path / 'out').images == 4
    assert predict(detector, mixed / 'grey.jpg', tmp_path / 'out').images == 1


def test_scores_and_classes_are_chosen(detector, segmentor, classifier, mixed, tmp_path):
    every = json.loads(predict(detector, mixed / 'a', tmp_path / 'all').predictions.read_text())['annotations']
    middle = float(np.median([annotation['score'] for annotation in every]))
    kept = predict(detector, mixed / 'a', tmp_path / 'some', score=middle, classes='dog')
    found = json.loads(kept.predictions.read_text())['annotations']
    wanted = [one for one in every if one['score'] >= middle and one['category_id'] == 1]
    assert [one['bbox'] for one in found] == [one['bbox'] for one in wanted] and kept.count == len(wanted)
    predict(segmentor, mixed / 'a', tmp_path / 'field', classes=['field'])
    assert set(np.unique(np.asarray(Image.open(tmp_path / 'field/label_maps/0.png')))) <= {0, 2}
    result = predict(classifier, mixed / 'a', tmp_path / 'red', classes=['red', 'blue'], top=1)
    assert {row['class'] for row in csv.DictReader(result.predictions.open())} <= {'red', 'blue'}
    assert result.count == result.images


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_a_tile_as_large_as_the_image_is_the_whole_image(detector, segmentor, mixed, tmp_path):
    for trained in (detector, segmentor):
        for name, tile in (('whole', None), ('tiles', 70)):
            predict(trained, mixed, tmp_path / trained.task / name, tile=tile)
        whole, tiled = (files_of(tmp_path / trained.task / name) for name in ('whole', 'tiles'))
        assert len(whole) > 9 and whole == tiled


def test_tiles_of_a_larger_image(detector, segmentor, tmp_path):
    save_photo(tmp_path / 'images/large.png', 3, (150, 90))
    for trained in (detector, segmentor):
        result = predict(trained, tmp_path / 'images', tmp_path / trained.task, tile=64, batch_size=3)
        assert result.images == 1 and result.count >= 1
    assert np.asarray(Image.open(tmp_path / 'segment/label_maps/large.png')).shape == (90, 150)
    content = json.loads((tmp_path / 'detect/predictions.json').read_text())
    assert all(one['segmentation']['size'] == [90, 150] for one in content['annotations'])
    right = [one['bbox'][0] + one['bbox'][2] for one in content['annotations']]
    assert 64 < max(right) <= 150


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(images='gone'), r'images .*gone does not exist'),
        (dict(images=[]), 'images are a folder'),
        (dict(images=['gone.png']), '1 of 1 do not exist'),
        (dict(images='empty'), 'no image in'),
        (dict(images='bad'), r'none of the 1 images can be read: x.png \(is empty.*\) is the first'),
        (dict(out='images/out'), 'lies in the folder of the images'),
        (dict(out='file/out'), 'cannot be created'),
        (dict(classes='dgo'), "has no class 'dgo'; did you mean 'dog'"),
        (dict(classes=['zebra']), "has no class 'zebra'; it has dog, traffic light"),
        (dict(score=2), 'score is'),
        (dict(batch_size=0), 'batch_size is'),
        (dict(tile=1), 'tile is'),
        (dict(device='cuda:9'), 'the model is on cpu|cannot be used'),
    ],
)
def test_mistakes_are_one_line(settings, words, detector, tmp_path):
    save_photo(tmp_path / 'images/photo.png')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad/x.png').touch()
    (tmp_path / 'file').touch()
    paths = {
        key: tmp_path / value for key, value in settings.items() if key in ('images', 'out') and isinstance(value, str)
    }
    given = dict(dict(images=tmp_path / 'images', out=tmp_path / 'out'), **{**settings, **paths})
    with pytest.raises(UserError, match=words) as caught:
        predict(detector, **given)
    assert '\n' not in str(caught.value)
    assert not (tmp_path / 'out/predictions.json').exists() and not list(tmp_path.rglob('*.part'))


def test_mistakes_of_a_task(runs, segmentor, classifier, tmp_path):
    save_photo(tmp_path / 'images/photo.png')
    for model, settings, words in (
        (runs('pretrain').work_dir, {}, 'is a pre-training.*reconstruct'),
        (classifier, dict(tile=64), 'tile is for detection and segmentation'),
        (segmentor, dict(score=0.5), 'score is for objects'),
        (tmp_path, {}, "has no file 'last_checkpoint'"),
    ):
        with pytest.raises(UserError, match=words):
            predict(model, tmp_path / 'images', tmp_path / 'out', **settings)


def test_an_older_result_stays_when_a_prediction_fails(detector, mixed, tmp_path, monkeypatch):
    predict(detector, mixed / 'b', tmp_path / 'out')
    before = (tmp_path / 'out/predictions.json').read_bytes()

    def fail(*args):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(detector.model, 'test_step', fail)
    with pytest.raises(RuntimeError):
        predict(detector, mixed, tmp_path / 'out')
    assert (tmp_path / 'out/predictions.json').read_bytes() == before


def test_images_in_a_tar(detector, segmentor, mixed, tmp_path):
    shutil.make_archive(str(tmp_path / 'photos'), 'tar', mixed / 'b')
    own = json.loads(predict(detector, mixed / 'b', tmp_path / 'own').predictions.read_text())
    result = predict(detector, tmp_path / 'photos.tar', tmp_path / 'tar')
    assert json.loads(result.predictions.read_text())['annotations'] == own['annotations']


def test_exif_orientation_is_that_of_the_run(detector, tmp_path):
    save_photo(tmp_path / 'images/turned.jpg', 1, (60, 40))
    image = Image.open(tmp_path / 'images/turned.jpg')
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / 'images/turned.jpg', exif=exif)
    content = json.loads(predict(detector, tmp_path / 'images', tmp_path / 'out').predictions.read_text())
    assert (content['images'][0]['width'], content['images'][0]['height']) == (40, 60)


def test_gradients_and_modes_are_left_alone(detector, tmp_path):
    save_photo(tmp_path / 'images/photo.png')
    predict(detector, tmp_path / 'images', tmp_path / 'out')
    assert torch.is_grad_enabled() and not detector.model.training
