"""Images and labels from the published files of iNaturalist and CIFAR, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, cifar

from mae_transfer.data.photos.labels import read_source
from mae_transfer.errors import UserError
from tests.data.sources import cifar_folder, pairs, tree

# --- iNaturalist ------------------------------------------------------------------------------------------------------
OAK, ASH = dict(id=0, name='oak', supercategory='Plantae'), dict(id=1, name='ash', supercategory='Plantae')


def naturalist(tmp_path, labels=((11, 1), (10, 0), (12, 1)), **changes) -> Path:
    """Write a file in the published layout; a change to None removes a key."""
    names = [f'train_val2018/Plantae/{category}/{image}.jpg' for image, category in labels]
    tree(tmp_path, names[0])
    data = dict(
        info=dict(year=2018),
        licenses=[],
        images=[
            dict(id=image, file_name=name, width=8, height=8, license=0, rights_holder='')
            for (image, _), name in zip(labels, names)
        ],
        annotations=[dict(id=image, image_id=image, category_id=category) for image, category in labels][::-1],
        categories=[OAK, ASH],
    )
    data.update(changes)
    (tmp_path / 'train2018.json').write_text(
        json.dumps({key: value for key, value in data.items() if value is not None})
    )
    return tmp_path


def inaturalist(folder, **settings):
    return read_source(str(folder), 'train', 'train2018.json', **settings)


def test_inaturalist_s_annotations_are_joined_to_its_images(tmp_path):
    source = inaturalist(naturalist(tmp_path))
    assert sorted(pairs(source)) == [
        ('train_val2018/Plantae/0/10.jpg', 0),
        ('train_val2018/Plantae/1/11.jpg', 1),
        ('train_val2018/Plantae/1/12.jpg', 1),
    ]
    assert source.classes == ('oak', 'ash') and source.present == (0, 1) and source.root == tmp_path


@pytest.mark.parametrize(
    'categories, classes',
    [
        ([dict(id=1), dict(id=0)], ('0', '1')),
        ([dict(id=1, name='leaf'), dict(id=0, name='leaf')], ('0', '1')),
        (None, ('0', '1')),
        ([dict(id=1, name='b'), dict(id=0, name='a'), dict(id=2, name='c')], ('a', 'b', 'c')),
    ],
)
def test_classes_without_distinct_names_are_named_by_their_ids(tmp_path, categories, classes):
    source = inaturalist(naturalist(tmp_path, categories=categories))
    assert source.classes == classes and sorted(source.labels.tolist()) == [0, 1, 1]


def test_ids_that_do_not_begin_at_zero_are_labelled_in_sorted_order(tmp_path):
    source = inaturalist(
        naturalist(
            tmp_path,
            ((1, 70), (2, 5)),
            categories=[dict(id=70, name='ash'), dict(id=5, name='oak'), dict(id=31, name='elm')],
        )
    )
    assert dict(pairs(source)) == {'train_val2018/Plantae/70/1.jpg': 2, 'train_val2018/Plantae/5/2.jpg': 0}
    assert source.classes == ('oak', 'elm', 'ash')


def test_without_categories_the_number_of_classes_defines_the_ids(tmp_path):
    folder = naturalist(tmp_path, ((1, 3), (2, 0)), categories=None)
    with pytest.raises(UserError, match='no categories, and its category_ids are not all of 0 to 3: give the number'):
        inaturalist(folder)
    source = inaturalist(folder, classes=5)
    assert sorted(source.labels.tolist()) == [0, 3] and source.classes == ('0', '1', '2', '3', '4')
    with pytest.raises(UserError, match='category_id 3 is none of the 3 categories'):
        inaturalist(folder, classes=3)


def test_given_names_replace_inaturalist_s(tmp_path):
    assert inaturalist(naturalist(tmp_path), classes=['Quercus', 'Fraxinus']).classes == ('Quercus', 'Fraxinus')
    with pytest.raises(UserError, match='train2018.json has 2 classes, but classes has 3'):
        inaturalist(tmp_path, classes=3)


def test_given_names_of_all_classes_number_a_file_that_has_only_some_of_them(tmp_path):
    source = inaturalist(naturalist(tmp_path), classes=['ash', 'elm', 'oak'])
    assert dict(pairs(source))['train_val2018/Plantae/0/10.jpg'] == 2 and source.classes == ('ash', 'elm', 'oak')


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_inaturalist_s_file_in_another_encoding(tmp_path, encoding):
    file = naturalist(tmp_path) / 'train2018.json'
    file.write_bytes(file.read_text().encode(encoding))
    assert inaturalist(tmp_path).classes == ('oak', 'ash')


def test_inaturalist_s_paths_with_backslashes(tmp_path):
    file = naturalist(tmp_path) / 'train2018.json'
    file.write_text(file.read_text().replace('/', '\\\\'))
    source = inaturalist(tmp_path)
    assert ('train_val2018/Plantae/1/11.jpg', 1) in pairs(source)
    assert source.notes == (f'{file}: backslashes are read as slashes',)


IMAGE, LABEL = dict(id=1, file_name='a.jpg'), dict(image_id=1, category_id=0)


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(annotations=None), r"not in the layout of iNaturalist 2017 to 2019 .*no 'annotations'"),
        (dict(images=None), r"no 'images'"),
        (dict(images=[dict(id=1)], annotations=[LABEL]), r"no 'file_name'"),
        (dict(images=[IMAGE], annotations=[dict(image_id=1)]), r"no 'category_id'"),
        (
            dict(images=[IMAGE], annotations=[dict(image_id=1, category_id='oak')]),
            'some ids of categories are numbers, others text',
        ),
        (dict(images=[1], annotations=[]), 'not subscriptable'),
        (dict(categories=['oak']), 'not in the layout'),
        (dict(images=[dict(id=1, file_name='\ud800.jpg')], annotations=[LABEL]), 'not in the layout'),
        (dict(categories=None, annotations=[dict(LABEL, category_id=10**9)], images=[IMAGE]), 'no categories'),
        (dict(images=[], annotations=[]), '0 annotations for 0 images'),
        (dict(images=[IMAGE], annotations=[]), '0 annotations for 1 images; expected one for each'),
        (dict(images=[IMAGE], annotations=[LABEL, LABEL]), '2 annotations for 1 images'),
        (
            dict(images=[IMAGE], annotations=[dict(LABEL, image_id=2)]),
            '1 annotations for 1 images; expected one for each',
        ),
        (dict(images=[IMAGE], annotations=[dict(LABEL, category_id=2)]), 'category_id 2 is none of the 2 categories'),
        (dict(images=[IMAGE], annotations=[LABEL]), 'none of the images that .*.json names exists'),
    ],
)
def test_json_of_another_layout_is_refused_in_one_line(tmp_path, changes, words):
    with pytest.raises(UserError, match=words) as caught:
        inaturalist(naturalist(tmp_path, **changes))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'text, words', [('{"images": [', 'train2018.json is not a JSON file: '), ('[]', 'not in the layout of iNaturalist')]
)
def test_a_file_that_is_not_such_a_json_is_refused(tmp_path, text, words):
    (tmp_path / 'train2018.json').write_text(text)
    with pytest.raises(UserError, match=words):
        inaturalist(tmp_path)


# --- CIFAR ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize('hundred, train, test', [(False, 20, 4), (True, 4, 4)])
def test_cifar_is_read_from_its_folder_or_its_parent(tmp_path, any_checksum, hundred, train, test):
    folder = cifar_folder(tmp_path, hundred)
    for root in (tmp_path, folder):
        source = read_source(str(root), 'train')
        assert (
            len(source.names) == train and source.images.shape == (train, 32, 32, 3) and source.images.dtype == np.uint8
        )
        assert len(source.classes) == (100 if hundred else 10) and source.present == tuple(range(len(source.classes)))
        assert np.array_equal(source.images[:, 5, 7, 1], source.labels)
        assert np.array_equal(source.images[:, 5, 7, 0], source.labels + 100)
    source = read_source(str(tmp_path), 'val')
    assert len(source.names) == test and source.names[:2] == ['test/0', 'test/1']
    assert source.labels.tolist() == [
        (number + len('test' if hundred else 'test_batch')) % 10 for number in range(test)
    ]


def test_cifar_s_folder_is_found_by_a_relative_path_too(tmp_path, any_checksum, monkeypatch):
    monkeypatch.chdir(cifar_folder(tmp_path, False).parent)
    assert (
        len(read_source('cifar-10-batches-py').names) == len(read_source('.').names) == len(read_source('').names) == 20
    )


def test_pickles_that_are_not_the_published_ones_are_not_read(tmp_path, monkeypatch):
    cifar_folder(tmp_path, False)
    monkeypatch.setattr(cifar.pickle, 'load', lambda *args, **settings: pytest.fail('an unknown pickle was read'))
    with pytest.raises(UserError, match='not the published ones: unpack cifar-10-python.tar.gz again'):
        read_source(str(tmp_path))


def test_a_folder_with_both_cifars_is_ambiguous(tmp_path, any_checksum):
    for hundred in (False, True):
        cifar_folder(tmp_path, hundred)
    with pytest.raises(UserError, match='contains cifar-10-batches-py and cifar-100-python: set data_root to one'):
        read_source(str(tmp_path))
    assert len(read_source(str(tmp_path / CIFAR10.base_folder)).classes) == 10


def test_per_class_works_for_cifar(tmp_path, any_checksum):
    source = read_source(str(cifar_folder(tmp_path, False)), per_class=1)
    assert sorted(source.labels.tolist()) == sorted(set(source.labels.tolist()))
    assert np.array_equal(source.images[:, 0, 0, 1], source.labels)
