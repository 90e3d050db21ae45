"""Layouts of a user's own data that are recognised, and what is said of others."""

import json

import pytest

from mae_transfer.api.own_layouts import coco_split, scene_changes, scene_split
from mae_transfer.errors import UserError
from tests.own_data import write_coco, write_scenes


@pytest.mark.parametrize(
    'folders, files, images',
    [
        (
            ('train2017', 'val2017'),
            ('annotations/instances_train2017.json', 'annotations/instances_val2017.json'),
            ('train2017', 'val2017'),
        ),
        (('train', 'valid'), ('train/_annotations.coco.json', 'valid/_annotations.coco.json'), ('train', 'valid')),
        (('images/train', 'images/val'), ('annotations/train.json', 'annotations/val.json'), None),
        (('images', 'images'), ('instances_Train.json', 'instances_validation.json'), None),
        (('images/default', 'images/default'), ('annotations/train.json', 'annotations/val.json'), None),
        (('.', '.'), ('train.json', 'val.json'), None),
    ],
)
def test_layouts_of_coco_files(folders, files, images, tmp_path):
    write_coco(tmp_path, folders, files)
    found = [coco_split(tmp_path, split) for split in ('train', 'val')]
    assert [split.ann_file for split in found] == list(files)
    assert [split.images for split in found] == list(images or folders)
    assert dict(found[1].changes('val')) == {
        f'{loader}.dataset.{key}': value
        for loader in ('val_dataloader', 'test_dataloader')
        for key, value in (('ann_file', files[1]), ('data_prefix.img', (images or folders)[1]))
    }


def test_the_file_of_the_instances_is_taken_among_coco_s_others(tmp_path):
    write_coco(tmp_path)
    (tmp_path / 'annotations/captions_train2017.json').write_text('{}')
    assert coco_split(tmp_path, 'train').ann_file == 'annotations/instances_train2017.json'


def test_annotations_that_are_not_found_or_not_told_apart_are_one_line(tmp_path):
    with pytest.raises(UserError, match='data .*/none does not exist: give the folder'):
        coco_split(tmp_path / 'none', 'train')
    with pytest.raises(UserError, match=r'annotations of train in .* found none of these \(there are: no .json\)'):
        coco_split(tmp_path, 'train')
    write_coco(tmp_path, ('images', 'images'), ('annotations/instances_default.json', 'annotations/b_val.json'))
    with pytest.raises(UserError, match=r'none of these \(there are: annotations/b_val.json, annotations/instances_de'):
        coco_split(tmp_path, 'train')
    for name in ('a_train', 'b_train'):
        (tmp_path / f'annotations/{name}.json').write_text('{}')
    with pytest.raises(UserError, match='found 2 of that name .*a_train.json, annotations/b_train.json'):
        coco_split(tmp_path, 'train')


def test_images_that_are_elsewhere_are_one_line(tmp_path):
    write_coco(tmp_path, ('photos', 'photos'))
    with pytest.raises(UserError, match='its first image, 0.jpg, is in none of the folders annotations, train2017'):
        coco_split(tmp_path, 'train')
    (tmp_path / 'annotations/instances_train2017.json').write_text(json.dumps(dict(images=[])))
    with pytest.raises(UserError, match="no list 'images' with a 'file_name' in each"):
        coco_split(tmp_path, 'train')


@pytest.mark.parametrize(
    'images, labels, splits',
    [
        ('images/{}', 'annotations/{}', ('training', 'validation')),
        ('images/{}', 'masks/{}', ('train', 'val')),
        ('{}/images', '{}/labels', ('train', 'valid')),
    ],
)
def test_layouts_of_label_maps(images, labels, splits, tmp_path):
    write_scenes(tmp_path, images, labels, splits)
    folders = [scene_split(tmp_path, split) for split in ('train', 'val')]
    assert folders == [(images.format(split), labels.format(split)) for split in splits]
    assert dict(scene_changes(folders[0], 'train')) == {
        'train_dataloader.dataset.data_prefix': dict(img_path=folders[0][0], seg_map_path=folders[0][1])
    }


def test_images_without_label_maps_are_one_line(tmp_path):
    (tmp_path / 'images/training').mkdir(parents=True)
    with pytest.raises(UserError, match='no images of train with their label maps: looked for images/training with'):
        scene_split(tmp_path, 'train')
