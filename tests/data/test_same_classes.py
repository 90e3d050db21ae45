"""Training data, validation data and model that do not mean the same classes are found before anything is built."""

import json

import pytest

from mae_transfer.data import check_same_classes
from mae_transfer.errors import UserError
from tests.helpers import save_photo


def folders(root, **splits):
    """Class folders without images: nothing else may be read."""
    for split, classes in splits.items():
        for name in classes:
            (root / split / name).mkdir(parents=True)
    return [dict(type='LabelledPhotos', data_root=str(root), split=split) for split in splits]


def lists(root, train, val, **settings):
    save_photo(root / 'a.jpg')
    for name, labels in (('train', train), ('val', val)):
        (root / f'{name}.txt').write_text(''.join(f'a.jpg {label}\n' for label in labels))
    return [dict(data_root=str(root), split=split, ann_file=f'{split}.txt', **settings) for split in ('train', 'val')]


def test_the_same_class_folders_fit(tmp_path):
    train, val = folders(tmp_path, train='abc', val='cab')
    check_same_classes(train, val, 3)
    check_same_classes({key: train[key] for key in ('data_root',)}, val, 3)  # 'train' is the default split
    check_same_classes(train, val, 0)  # a model without head


@pytest.mark.parametrize(
    'train, val, words',
    [
        (
            'abcdef',
            'abxy',
            r'the classes of train \(6\) and val \(4\) differ: '
            r'4 only in train \(c, d, e, ...\) and 2 only in val \(x, y\)$',
        ),
        ('ab', 'abc', r'train \(2\) and val \(3\) differ: 1 only in val \(c\)$'),
        ('abc', 'ab', r'train \(3\) and val \(2\) differ: 1 only in train \(c\)$'),
        ('012', '01', r'1 only in train \(2\)$'),
    ],
)
def test_class_folders_that_differ_are_named(tmp_path, train, val, words):
    with pytest.raises(UserError, match=words):
        check_same_classes(*folders(tmp_path, train=train, val=val), 3)


def test_a_model_of_other_classes_is_told_the_number(tmp_path):
    words = 'the data has 3 classes, the model has num_classes=1000: choose --cfg-options model.num_classes=3$'
    with pytest.raises(UserError, match=words):
        check_same_classes(*folders(tmp_path, train='abc', val='abc'), 1000)


def test_a_part_of_given_classes_fits(tmp_path):
    train, part, strange = folders(tmp_path, train='abc', part='bc', strange='bx')
    check_same_classes(train, dict(part, classes=['a', 'b', 'c']), 3)
    check_same_classes(dict(train, classes=['c', 'b', 'a']), dict(part, classes=['c', 'b', 'a']), 3)
    with pytest.raises(UserError, match="1 of 2 class folders are not among the 3 classes, the first is 'x'"):
        check_same_classes(train, dict(strange, classes=['a', 'b', 'c']), 3)
    with pytest.raises(UserError, match=r'train \(3\) and val \(3\) differ: in their order$'):
        check_same_classes(train, dict(part, classes=['c', 'b', 'a']), 3)


def test_imagenet_c_has_imagenet_s_classes(tmp_path):
    train = dict(folders(tmp_path, train=['n01440764'])[0], classes='imagenet')
    check_same_classes(train, dict(type='mae_transfer.ImageNetC', data_root='not/read'), 1000)
    with pytest.raises(UserError, match='num_classes=10: choose'):
        check_same_classes(train, dict(type='ImageNetC', data_root='not/read'), 10)


def test_corrupted_class_folders_are_compared_where_no_classes_are_given(tmp_path):
    (train,) = folders(tmp_path, train='ab')
    folders(tmp_path / 'fog', **{'1': 'bc'})
    with pytest.raises(UserError, match=r'1 only in train \(a\) and 1 only in val \(c\)'):
        check_same_classes(
            train, dict(type='ImageNetC', data_root=str(tmp_path), corruptions=('fog',), classes=None), 2
        )


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
def test_list_files(tmp_path, train, val, num_classes, words):
    check = [*lists(tmp_path, train, val), num_classes]
    if words is None:
        check_same_classes(*check)
    else:
        with pytest.raises(UserError, match=words):
            check_same_classes(*check)


def test_a_list_need_not_show_all_of_the_given_classes(tmp_path):
    check_same_classes(*lists(tmp_path, [0, 1], [1], classes=7), 7)


def test_a_list_of_numbers_fits_class_folders(tmp_path):
    (train,) = folders(tmp_path, train='abc')
    check_same_classes(train, lists(tmp_path, [0], [2])[1], 3)
    with pytest.raises(UserError, match='val has labels up to 3, but train has 3 classes'):
        check_same_classes(train, lists(tmp_path, [0], [3])[1], 3)


def test_inaturalist(tmp_path):
    save_photo(tmp_path / 'a.jpg')
    for split, count in (('train', 3), ('val', 2)):
        (tmp_path / f'{split}.json').write_text(
            json.dumps(
                dict(
                    images=[dict(id=1, file_name='a.jpg')],
                    annotations=[dict(image_id=1, category_id=0)],
                    categories=[dict(id=number, name=f'species {number}') for number in range(count)],
                )
            )
        )
    train, val = (dict(data_root=str(tmp_path), split=split, ann_file=f'{split}.json') for split in ('train', 'val'))
    check_same_classes(train, train, 3)
    with pytest.raises(UserError, match=r'1 only in train \(species 2\)'):
        check_same_classes(train, val, 3)
