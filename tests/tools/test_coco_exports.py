"""COCO files as annotation tools export them, from the command line: trained on, evaluated, or one line."""

import json

import pytest

from tests.coco_forms import ids, segmentations, with_namesake
from tests.own_data import coco_content, photo
from tests.tools.commands import call, error_line, train
from tests.tools.test_own_data import CONFIGS, options

FORMAT_ONLY = ('test_evaluator.format_only=True', 'test_evaluator.outfile_prefix={}/predictions')


def roboflow(content):
    """Ids from 0, a root category with the name of a class, flat polygons."""
    content = segmentations(lambda polygons: polygons[0])(content)
    return with_namesake(ids(lambda old, i: i, lambda old, i: i + 1, lambda old, i: i)(content))


def write(root, change=lambda content: content, splits=('train', 'valid')):
    """Roboflow's layout: a folder for each split, with its photos and its file."""
    for split in splits:
        content = coco_content(3 if split == 'train' else 2)
        for seed, image in enumerate(content['images']):
            photo(root / split / image['file_name'], (image['width'], image['height']), seed)
        (root / split / '_annotations.coco.json').write_text(json.dumps(change(content)))
    return root


def layout(root, *more):
    """The options of that layout."""
    folders = dict(train_dataloader='train', val_dataloader='valid', test_dataloader='valid')
    settings = ('ann_file={}/_annotations.coco.json', 'data_prefix.img={}/')
    options_ = [f'{loader}.dataset.{text.format(folder)}' for loader, folder in folders.items() for text in settings]
    return options('coco', root, None, *options_, *more)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """(data, work_dir, output) of a short training on a Roboflow export."""
    folder = tmp_path_factory.mktemp('roboflow')
    root = write(folder / 'data', roboflow)
    return root, folder / 'run', train(CONFIGS['coco'], '--work-dir', folder / 'run', *layout(root)).out


def test_an_odd_export_is_trained_and_evaluated(trained):
    root, _, out = trained
    file = f'{root}/train/_annotations.coco.json'
    for line in (
        "1 of 4 categories have the name of another and no annotation, e.g. id 0, name 'dog': left out",
        '1 of 7 annotations have no id that is a whole number above 0 (the AP libraries take 0 for no match), e.g. 0: ',
        '6 of 6 annotations have a polygon that is not in a list, e.g. id 0, image_id 0: taken as one polygon',
        '6 of 7 objects in 3 of 3 images are learnt from; left out: 1 of other classes',
    ):
        assert f'{file}: {line}' in out
    assert f'{root}/valid/_annotations.coco.json: 4 of 5 objects in 2 of 2 images are evaluated' in out
    assert 'coco/segm_mAP_50' in out


def test_unlabelled_images_are_predicted_as_the_message_says(trained, tmp_path):
    _, work_dir, _ = trained
    root = write(tmp_path / 'data', lambda content: {**content, 'annotations': []}, ('valid',))
    command = ('test', CONFIGS['coco'], work_dir, '--work-dir', tmp_path / 'judged')
    line = error_line(call(*command, *layout(root)))
    assert "the list 'annotations' is empty" in line and ' '.join(FORMAT_ONLY).format('work_dirs') in line
    ended = call(*command, *layout(root, *(option.format(tmp_path) for option in FORMAT_ONLY)))
    assert ended.code == 0, ended.err
    for kind in ('bbox', 'segm'):
        assert {entry['image_id'] for entry in json.loads((tmp_path / f'predictions.{kind}.json').read_text())} <= {
            10,
            11,
        }


def all_crowd(content):
    return {**content, 'annotations': [dict(entry, iscrowd=1) for entry in content['annotations']]}


@pytest.mark.parametrize('split', ['train', 'valid'])
def test_a_file_without_objects_ends_the_run_before_a_step(split, tmp_path):
    root = write(tmp_path / 'data')
    write(root, all_crowd, (split,))
    line = error_line(call('train', CONFIGS['coco'], '--work-dir', tmp_path / 'run', *layout(root)))
    count, use = (7, 'learnt from') if split == 'train' else (5, 'evaluated')
    assert line.startswith(
        f'error: {root}/{split}/_annotations.coco.json: none of its {count} objects is {use}; left out:'
    )
