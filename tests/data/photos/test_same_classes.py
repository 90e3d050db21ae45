"""Training data, validation data and model with different classes are refused before anything is built."""

import json

import pytest

from mae_transfer.data import ImageNetC, LabelledPhotos, LabelSpace
from mae_transfer.data import check_same_classes as check_spaces
from mae_transfer.errors import UserError
from tests.helpers import save_photo


def check_same_classes(train, val, num_classes, val_kind=LabelledPhotos):
    """Compare the data sets with these settings."""
    check_spaces(LabelledPhotos.label_space(**train), val_kind.label_space(**val), num_classes)


def folders(root, **splits):
    """Make class folders without images, because only the folders may be read."""
    for split, classes in splits.items():
        for name in classes:
            (root / split / name).mkdir(parents=True)
    return [dict(type='LabelledPhotos', data_root=str(root), split=split) for split in splits]


def lists(root, train, val, **settings):
    """Write list files with these labels."""
    save_photo(root / 'a.jpg')
    for name, labels in (('train', train), ('val', val)):
        (root / f'{name}.txt').write_text(''.join(f'a.jpg {label}\n' for label in labels))
    return [dict(data_root=str(root), split=split, ann_file=f'{split}.txt', **settings) for split in ('train', 'val')]


def test_the_same_class_folders_pass(tmp_path):
    train, val = folders(tmp_path, train='abc', val='cab')
    check_same_classes(train, val, 3)
    check_same_classes({key: train[key] for key in ('data_root',)}, val, 3)  # 'train' is the default split
    check_same_classes(train, val, 0)  # a model without a head


@pytest.mark.parametrize(
    'train, val, words',
    [
        (
            'abcdef',
            'abxy',
            r'the classes of train \(6\) and val \(4\) differ: '
            r'4 only in train \(c, d, e and 1 more\) and 2 only in val \(x, y\)$',
        ),
        (
            'ab',
            'abc',
            r'train \(2\) and val \(3\) differ: 1 only in val \(c\): if train has no images of the others, '
            'name all classes: --cfg-options classes=a,b,c$',
        ),
        ('abc', 'ab', r'train \(3\) and val \(2\) differ: 1 only in train \(c\): if val has no .* classes=a,b,c$'),
        ('012', '01', r'1 only in train \(2\)'),
    ],
)
def test_differing_class_folders_are_named(tmp_path, train, val, words):
    with pytest.raises(UserError, match=words):
        check_same_classes(*folders(tmp_path, train=train, val=val), 3)


def test_a_model_with_another_number_of_classes_is_refused(tmp_path):
    words = 'the data has 3 classes, the model has num_classes=1000: choose --cfg-options model.num_classes=3$'
    with pytest.raises(UserError, match=words):
        check_same_classes(*folders(tmp_path, train='abc', val='abc'), 1000)


def test_a_subset_of_given_classes_passes(tmp_path):
    train, part, other = folders(tmp_path, train='abc', part='bc', other='bx')
    check_same_classes(train, dict(part, classes=['a', 'b', 'c']), 3)
    check_same_classes(dict(train, classes=['c', 'b', 'a']), dict(part, classes=['c', 'b', 'a']), 3)
    with pytest.raises(UserError, match="1 of 2 class folders are not among the 3 classes, e.g. 'x'"):
        check_same_classes(train, dict(other, classes=['a', 'b', 'c']), 3)
    with pytest.raises(UserError, match=r'train \(3\) and val \(3\) differ: in their order$'):
        check_same_classes(train, dict(part, classes=['c', 'b', 'a']), 3)


def test_imagenet_c_has_imagenet_s_classes(tmp_path):
    train = dict(folders(tmp_path, train=['n01440764', 'n01443537'])[0], classes='imagenet')
    check_same_classes(train, dict(type='mae_transfer.ImageNetC', data_root='not/read'), 1000, ImageNetC)
    with pytest.raises(UserError, match='num_classes=10: choose'):
        check_same_classes(train, dict(data_root='not/read'), 10, ImageNetC)


def test_without_given_classes_the_class_folders_of_imagenet_c_are_compared(tmp_path):
    (train,) = folders(tmp_path, train='ab')
    folders(tmp_path / 'fog', **{'1': 'bc'})
    with pytest.raises(UserError, match=r'1 only in train \(a\) and 1 only in val \(c\)'):
        check_same_classes(train, dict(data_root=str(tmp_path), corruptions=('fog',), classes=None), 2, ImageNetC)


@pytest.mark.parametrize(
    'train, val, num_classes, words',
    [
        ([0, 1, 2], [0, 1], 3, None),
        ([0, 1, 2], [3], 3, 'val has labels up to 3, but train has 3 classes'),
        ([0, 1, 2], [2], 5, 'the data has 3 classes, the model has num_classes=5'),
        (['ant', 'bee'], ['bee', 'ant'], 2, None),
        (['ant', 'bee'], ['bee', 'cat'], 2, r'1 only in train \(ant\) and 1 only in val \(cat\)'),
    ],
)
def test_list_files_are_compared(tmp_path, train, val, num_classes, words):
    check = [*lists(tmp_path, train, val), num_classes]
    if words is None:
        check_same_classes(*check)
    else:
        with pytest.raises(UserError, match=words):
            check_same_classes(*check)


def test_labels_from_1_are_told_with_the_number_of_classes(tmp_path):
    with pytest.raises(UserError, match=r'choose --cfg-options model.num_classes=3 \(.*no image has the label 0'):
        check_same_classes(*lists(tmp_path, [1, 2], [1, 2]), 2)


def test_a_list_need_not_contain_all_of_the_given_classes(tmp_path):
    check_same_classes(*lists(tmp_path, [0, 1], [1], classes=7), 7)


def test_a_list_of_numbers_is_compared_with_class_folders_by_number(tmp_path):
    (train,) = folders(tmp_path, train='abc')
    check_same_classes(train, lists(tmp_path, [0], [2])[1], 3)
    with pytest.raises(UserError, match='val has labels up to 3, but train has 3 classes'):
        check_same_classes(train, lists(tmp_path, [0], [3])[1], 3)


def test_inaturalist_categories_are_compared(tmp_path):
    save_photo(tmp_path / 'a.jpg')
    for split, count in (('train', 3), ('val', 2)):
        (tmp_path / f'{split}.json').write_text(
            json.dumps(
                dict(
                    images=[dict(id=number, file_name='a.jpg') for number in (1, 2)],
                    annotations=[dict(image_id=number, category_id=number - 1) for number in (1, 2)],
                    categories=[dict(id=number, name=f'species {number}') for number in range(count)],
                )
            )
        )
    train, val = (dict(data_root=str(tmp_path), split=split, ann_file=f'{split}.json') for split in ('train', 'val'))
    check_same_classes(train, train, 3)
    with pytest.raises(UserError, match=r'1 only in train \(species 2\)'):
        check_same_classes(train, val, 3)


def test_names_are_compared_if_both_have_them_otherwise_their_number():
    names, numbers = LabelSpace(('a', 'b')), LabelSpace(('0', '1'), numbered=True)
    check_spaces(names, names, 2)
    check_spaces(names, numbers, 2)
    check_spaces(numbers, LabelSpace(('0',), numbered=True), 2)
    with pytest.raises(UserError, match='val has labels up to 2, but train has 2 classes'):
        check_spaces(names, LabelSpace(('0', '1', '2'), numbered=True), 2)


def test_the_label_space_of_some_settings_is_that_of_the_data_set_built_from_them(tmp_path):
    settings = [*folders(tmp_path, train='abc'), *lists(tmp_path, ['ant', 'bee'], [3])]
    for name in 'abc':
        save_photo(tmp_path / 'train' / name / 'x.png')
    for part in settings:
        made = LabelledPhotos(**{key: value for key, value in part.items() if key != 'type'}, img_size=8)
        assert LabelledPhotos.label_space(**part).classes == made.metainfo['classes']
    assert [LabelledPhotos.label_space(**part).numbered for part in settings] == [False, False, True]
