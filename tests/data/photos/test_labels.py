"""Images and labels from folder trees and list files, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest

from mae_transfer.data import LabelledPhotos, check_same_classes
from mae_transfer.data.photos.labels import read_source
from mae_transfer.errors import UserError
from mae_transfer.registry import DATASETS
from mae_transfer.settings import change_settings
from mae_transfer.visualization.confusion import confusion_picture
from tests.configs.recipes import load
from tests.data.sources import pairs, tree
from tests.helpers import save_photo


# --- folder trees -----------------------------------------------------------------------------------------------------
def test_a_split_s_class_folders_are_its_classes(tmp_path):
    tree(tmp_path, 'train/cat/b.jpg', 'train/cat/a.png', 'train/bee/c.jpg', 'val/cat/d.jpg', 'val/bee/e.jpg')
    train, val = read_source(str(tmp_path), 'train'), read_source(str(tmp_path), 'val')
    assert pairs(train) == [('bee/c.jpg', 0), ('cat/a.png', 1), ('cat/b.jpg', 1)]
    assert pairs(val) == [('bee/e.jpg', 0), ('cat/d.jpg', 1)]
    assert train.classes == val.classes == ('bee', 'cat') and train.present == (0, 1)
    assert train.root == tmp_path / 'train' and not train.numbered


def test_folders_below_a_class_belong_to_it(tmp_path):
    tree(tmp_path, 'train/n01/images/a.JPEG', 'train/n01/images/more/b.JPEG', 'train/n02/images/c.JPEG')
    (tmp_path / 'train' / 'n01' / 'n01_boxes.txt').write_text('a.JPEG 0 0 1 1')
    assert pairs(read_source(str(tmp_path))) == [
        ('n01/images/a.JPEG', 0),
        ('n01/images/more/b.JPEG', 0),
        ('n02/images/c.JPEG', 1),
    ]


def test_class_folders_may_be_directly_in_the_data_root_or_below_a_prefix(tmp_path):
    tree(tmp_path, 'deep/a/x.png', 'deep/b/y.png')
    assert pairs(read_source(str(tmp_path / 'deep'), None)) == [('a/x.png', 0), ('b/y.png', 1)]
    assert pairs(read_source(str(tmp_path), 'deep')) == pairs(read_source(str(tmp_path), None, data_prefix='deep'))


def test_a_subset_of_the_classes_keeps_its_labels(tmp_path):
    tree(tmp_path, 'n01443537/x.png', 'n01440764/y.png', 'n15075141/z.png')
    (tmp_path / 'n01484850').mkdir()
    source = read_source(str(tmp_path), None, classes='imagenet')
    assert pairs(source) == [('n01440764/y.png', 0), ('n01443537/x.png', 1), ('n15075141/z.png', 999)]
    assert len(source.classes) == 1000 and source.present == (0, 1, 999)


def test_numbered_folders_of_imagenet_are_sorted_by_their_numbers(tmp_path):
    tree(tmp_path, '10/a.png', '9/b.png', '100/c.png')
    assert pairs(read_source(str(tmp_path), None, classes='imagenet')) == [
        ('9/b.png', 9),
        ('10/a.png', 10),
        ('100/c.png', 100),
    ]


@pytest.mark.parametrize(
    'names, split, words',
    [
        (['train/a/x.png', 'val/a/y.png'], 'test', "contains no folder 'test', but train, val: .* set split=None"),
        (
            ['a/x.png', 'b/x.png', 'c/x.png', 'd/x.png'],
            'train',
            "contains no folder 'train', but a, b, c and 1 more: expected /.*/train/<class>/<image> and",
        ),
        (
            ['train/a/x.png', 'val/a/y.png'],
            None,
            "contains train/ and val/: choose one by split='train' or split='val'",
        ),
        (['x.png', 'y.png'], None, 'contains no class folder, but 2 images directly'),
        (['x.png', 'y.png'], 'train', 'contains no class folder, but 2 images directly'),
        (
            ['a/x.png', 'b/.png/none', 'c/.png/none'],
            None,
            "2 of 3 class folders contain no image, e.g. 'b': remove them",
        ),
        (['a/none', 'b/none'], None, 'no image in the 2 class folders of .*: looked for .jpg'),
    ],
)
def test_a_tree_of_another_layout_is_refused_in_one_line(tmp_path, names, split, words):
    for name in names:
        if name.endswith('none'):
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).write_text('no image')
        else:
            save_photo(tmp_path / name)
    with pytest.raises(UserError, match=words) as caught:
        read_source(str(tmp_path), split)
    assert '\n' not in str(caught.value)


def test_a_data_root_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match='nowhere does not exist'):
        read_source(str(tmp_path / 'nowhere'))


def test_a_tree_without_images_is_refused_also_if_the_classes_are_given(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(UserError, match='no image in the 1 class folders'):
        read_source(str(tmp_path), None, classes=['a', 'b'])


@pytest.mark.parametrize('hidden', ['cat/.ipynb_checkpoints/a-checkpoint.jpg', 'cat/._a.jpg', '__MACOSX/cat/._a.jpg'])
def test_hidden_files_and_folders_are_passed_over(tmp_path, hidden):
    tree(tmp_path, 'cat/a.jpg', 'dog/b.jpg', hidden)
    assert pairs(read_source(str(tmp_path), None)) == [('cat/a.jpg', 0), ('dog/b.jpg', 1)]


@pytest.mark.parametrize('up', ['..', '../..', '../dog'])
def test_links_do_not_lead_to_other_classes(tmp_path, up):
    tree(tmp_path, 'train/cat/a.jpg', 'train/dog/b.jpg', 'val/cat/c.jpg')
    (tmp_path / 'train/cat/up').symlink_to(up)
    source = read_source(str(tmp_path), 'train')
    assert pairs(source) == [('cat/a.jpg', 0), ('dog/b.jpg', 1)]
    assert len(source.notes) == 1 and 'train/cat/up' in source.notes[0]


def test_a_class_folder_may_be_a_link(tmp_path):
    tree(tmp_path, 'other/cat/a.jpg', 'other/dog/x.jpg', 'data/dog/b.jpg')
    (tmp_path / 'data/cat').symlink_to('../other/cat')
    (tmp_path / 'other/cat/up').symlink_to('..')
    assert pairs(read_source(str(tmp_path / 'data'), None)) == [('cat/a.jpg', 0), ('dog/b.jpg', 1)]


def test_names_that_are_not_utf_8(tmp_path):
    """Files have their names as they are; class names are text, for pictures, tables and logs."""
    folder = os.fsdecode(b'caf\xe9')
    tree(tmp_path, f'{folder}/{folder}.jpg', 'bee/b.jpg')
    source = read_source(str(tmp_path), None, per_class=1)
    assert pairs(source) == [('bee/b.jpg', 0), (f'{folder}/{folder}.jpg', 1)] and source.classes == ('bee', 'caf\\xe9')
    data = LabelledPhotos(str(tmp_path), None, img_size=8)
    space = LabelledPhotos.label_space(str(tmp_path), None)
    assert data[1]['labels'] == 1 and data.metainfo['classes'] == space.classes
    assert confusion_picture(np.eye(2, dtype=int), data.metainfo['classes']).ndim == 3


def test_what_is_passed_over_is_noted(tmp_path):
    tree(tmp_path, 'a/x.jpg', 'b/y.jpg')
    for name in ('a/x.heic', 'b/y.HEIC', 'b/boxes.txt'):
        (tmp_path / name).touch()
    assert read_source(str(tmp_path), None).notes == (
        f"{tmp_path}: files that are no images by their suffix are passed over (3): .heic 2, .txt 1; e.g. 'x.heic': "
        'convert .heic to TIFF or NPY, with all values',
    )


def test_the_advice_for_a_class_without_images_works(tmp_path):
    tree(tmp_path, 'train/a/1.jpg', 'train/b/2.jpg', 'train/c/3.jpg', 'val/a/4.jpg', 'val/c/5.jpg')
    for step in ('no folder', 'empty folder'):
        if step == 'no folder':
            spaces = [LabelledPhotos.label_space(str(tmp_path), split) for split in ('train', 'val')]
            with pytest.raises(UserError) as caught:
                check_same_classes(*spaces, 3)
        else:
            (tmp_path / 'val/b').mkdir()
            with pytest.raises(UserError) as caught:
                read_source(str(tmp_path), 'val')
        assert str(caught.value).endswith('name all classes: --cfg-options classes=a,b,c')
        cfg = change_settings(load('in1k_finetune_vitb'), [f'data_root={tmp_path}', 'classes=a,b,c'])
        parts = [dict(cfg[f'{name}_dataloader'].dataset) for name in ('train', 'val', 'test')]
        check_same_classes(*(LabelledPhotos.label_space(**part) for part in parts[:2]), 3)
        train, val, _ = (DATASETS.build(dict(part, img_size=8)) for part in parts)
        assert train.labels.tolist() == [0, 1, 2] and val.labels.tolist() == [0, 2]
        assert val.metainfo['present'] == (0, 2)


# --- list files -------------------------------------------------------------------------------------------------------
def listed(tmp_path, text, prefix='', name='a.jpg', **settings):
    save_photo(tmp_path / prefix / name)
    (tmp_path / 'list.txt').write_text(text)
    return read_source(str(tmp_path), 'train', 'list.txt', prefix, **settings)


@pytest.mark.parametrize(
    'text, found, classes',
    [
        ('a.jpg 0\nb/c.jpg 2\n', [('a.jpg', 0), ('b/c.jpg', 2)], ('0', '1', '2')),
        ('\nb c/d e.jpg\t 1\n\n  a.jpg 0  ', [('b c/d e.jpg', 1), ('a.jpg', 0)], ('0', '1')),
        ('b.jpg cat\na.jpg bee\nc.jpg cat', [('b.jpg', 1), ('a.jpg', 0), ('c.jpg', 1)], ('bee', 'cat')),
        ('/a.jpg 0\n/b/00001.jpg 1', [('a.jpg', 0), ('b/00001.jpg', 1)], ('0', '1')),
        ('a.jpg cat\nb.jpg 7', [('a.jpg', 1), ('b.jpg', 0)], ('7', 'cat')),
    ],
)
def test_a_line_of_a_list_is_a_path_and_a_label(tmp_path, text, found, classes):
    source = listed(tmp_path, text)
    assert pairs(source) == found and source.classes == classes and source.root == tmp_path
    assert source.present == tuple(range(len(classes)))
    assert source.numbered == (classes[-1].isdecimal())


def test_the_labels_of_a_list_refer_to_the_given_classes(tmp_path):
    assert pairs(listed(tmp_path, 'a.jpg bee\nb.jpg ant', classes=['cat', 'bee', 'ant'])) == [
        ('a.jpg', 1),
        ('b.jpg', 2),
    ]
    source = listed(tmp_path, 'a.jpg 0\nb.jpg 1', classes=['cat', 'bee', 'ant'])
    assert pairs(source) == [('a.jpg', 0), ('b.jpg', 1)] and source.classes == ('cat', 'bee', 'ant')
    assert source.present == (0, 1, 2) and not source.numbered
    assert pairs(listed(tmp_path, 'a.jpg n01440764\nb.jpg n15075141', classes='imagenet')) == [
        ('a.jpg', 0),
        ('b.jpg', 999),
    ]


def test_places365_lists(tmp_path):
    tree(tmp_path, 'data_256/a/airfield/00000001.jpg', 'val_256/Places365_val_00000001.jpg')
    (tmp_path / 'places365_train_standard.txt').write_text('/a/airfield/00000001.jpg 0\n/z/zen_garden/00000009.jpg 2\n')
    (tmp_path / 'places365_val.txt').write_text('Places365_val_00000001.jpg 1\n')
    (tmp_path / 'categories_places365.txt').write_text('/a/airfield 0\n/a/alley 1\n/z/zen_garden 2\n')
    names = str(tmp_path / 'categories_places365.txt')
    train = read_source(str(tmp_path), 'train', 'places365_train_standard.txt', 'data_256', names)
    val = read_source(str(tmp_path), 'val', 'places365_val.txt', 'val_256', names)
    assert pairs(train) == [('a/airfield/00000001.jpg', 0), ('z/zen_garden/00000009.jpg', 2)]
    assert train.root == tmp_path / 'data_256' and (val.root / val.names[0]).is_file()
    assert train.classes == val.classes == ('/a/airfield', '/a/alley', '/z/zen_garden') and val.labels.tolist() == [1]


@pytest.mark.parametrize(
    'text, classes, words',
    [
        ('', None, 'list.txt names no image'),
        ('a.jpg 0\n\nb.jpg', None, "list.txt, line 3: no label in 'b.jpg': expected a path and a label"),
        ('a.jpg 0\nmy cat.jpg', None, "list.txt, line 2: no label in 'my cat.jpg'"),
        ('a.jpg 0\nb.jpg -1', None, 'list.txt, line 2: label -1 is out of range: labels begin at 0'),
        ('a.jpg 0\n\nb.jpg 3', 3, 'list.txt, line 3: label 3 is out of range: 3 classes have the labels 0 to 2'),
        ('a.jpg 1\nb.jpg 2x', None, "list.txt, line 2: label '2x' is not a whole number, although the first label is"),
        ('a.jpg 1\nb.jpg 1.5', None, "label '1.5' is not a whole number"),
        ('a.jpg cat\nb.jpg cow', ['cat', 'dog'], "list.txt, line 2: 'cow' is none of the 2 classes"),
        (
            'x/a.jpg 0\nx/b.jpg 1',
            None,
            r"none of the images that .*list.txt names exists \(2 of 2 looked for\): 'x/a.jpg' in line 1 stands for "
            "/.*/x/a.jpg: it exists without 'x/': take that",
        ),
    ],
)
def test_an_invalid_line_of_a_list_is_named(tmp_path, text, classes, words):
    with pytest.raises(UserError, match=words) as caught:
        listed(tmp_path, text, classes=classes)
    assert '\n' not in str(caught.value)


def test_a_list_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(UserError, match='nowhere.txt does not exist: its path is relative to data_root'):
        read_source(str(tmp_path), ann_file='nowhere.txt')


# --- a few of each class ----------------------------------------------------------------------------------------------
def many(tmp_path, order=1) -> Path:
    """Write a list file with 4, 10 and 16 images of the classes 0, 1 and 2; ``order=-1`` reverses the lines."""
    lines = [f'{label}/{number}.jpg {label}' for label in (2, 0, 1) for number in range(4 + 6 * label)]
    save_photo(tmp_path / '0' / '0.jpg')
    for line in lines:
        path = tmp_path / line.split()[0]
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / 'list.txt').write_text('\n'.join(lines[::order]))
    return tmp_path


@pytest.mark.parametrize('count, kept', [(1, [1, 1, 1]), (5, [4, 5, 5]), (12, [4, 10, 12]), (99, [4, 10, 16])])
def test_per_class_keeps_that_many_images_of_each_class(tmp_path, count, kept):
    source = read_source(str(many(tmp_path)), ann_file='list.txt', per_class=count)
    assert np.bincount(source.labels).tolist() == kept
    assert all(name.startswith(f'{label}/') for name, label in pairs(source))


def test_the_images_kept_depend_only_on_the_paths_and_more_include_fewer(tmp_path):
    def kept(count, order=1):
        return read_source(str(many(tmp_path, order)), ann_file='list.txt', per_class=count).names

    assert kept(3) == kept(3, -1)[::-1] != []
    assert set(kept(3)) < set(kept(4)) and kept(3) != kept(99)[:3]
    everything = kept(99)
    assert kept(4) == [name for name in everything if name in set(kept(4))]
    firsts = [name for label in range(3) for name in sorted(name for name in everything if name[0] == str(label))[:3]]
    assert set(kept(3)) != set(firsts)  # the first names may be one burst of a camera


def test_per_class_must_be_positive(tmp_path):
    with pytest.raises(UserError, match='per_class is a number of images, 1 or more; found 0'):
        read_source(str(many(tmp_path)), ann_file='list.txt', per_class=0)


def test_what_class_folders_without_images_hold_is_told(tmp_path, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr('mae_transfer.data.photos.labels.warn_once', told.append)
    for name in ('a/1.dcm', 'b/2.npy'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b'x')
    with pytest.raises(UserError, match='no image in the 2 class folders'):
        LabelledPhotos(str(tmp_path), None, img_size=8)
    assert told == [
        f"{tmp_path}: files that are no images by their suffix are passed over (2): .dcm 1, .npy 1; e.g. '1.dcm': "
        'convert .dcm to TIFF or NPY, with all values; set bands to the numbers of the channels to read .npy, e.g. '
        'bands=1'
    ]
