"""Images and labels from every kind of source, and what each of them refuses."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, cifar

from mae_transfer.data.labels import read_source
from mae_transfer.errors import UserError
from tests.helpers import save_photo


def tree(folder: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        save_photo(folder / name, seed, (8, 8))
    return folder


def pairs(source) -> list[tuple[str, int]]:
    assert source.labels.dtype == np.int64 and len(source.names) == len(source.labels)
    return list(zip(source.names, source.labels.tolist()))


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


def test_class_folders_may_lie_directly_in_the_data_root_or_below_a_prefix(tmp_path):
    tree(tmp_path, 'deep/a/x.png', 'deep/b/y.png')
    assert pairs(read_source(str(tmp_path / 'deep'), None)) == [('a/x.png', 0), ('b/y.png', 1)]
    assert pairs(read_source(str(tmp_path), 'deep')) == pairs(read_source(str(tmp_path), None, data_prefix='deep'))


def test_a_part_of_the_classes_keeps_its_labels(tmp_path):
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
        (['train/a/x.png', 'val/a/y.png'], 'test', "has no folder 'test', but train, val: .* set split=None"),
        (
            ['a/x.png', 'b/x.png', 'c/x.png', 'd/x.png'],
            'train',
            "has no folder 'train', but a, b, c, ...: for class folders directly in",
        ),
        (['train/a/x.png', 'val/a/y.png'], None, "holds train/ and val/: name one by split='train' or split='val'"),
        (['x.png', 'y.png'], None, 'no class folder in .*, and 2 images directly in it'),
        (['x.png', 'y.png'], 'train', 'no class folder in .*, and 2 images directly in it'),
        (
            ['a/x.png', 'b/.png/none', 'c/.png/none'],
            None,
            "2 of 3 class folders hold no image, the first is 'b': remove them",
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


def test_a_data_root_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match='nowhere does not exist'):
        read_source(str(tmp_path / 'nowhere'))


def test_no_image_is_refused_also_where_the_classes_are_given(tmp_path):
    (tmp_path / 'a').mkdir()
    with pytest.raises(UserError, match='no image in the 1 class folders'):
        read_source(str(tmp_path), None, classes=['a', 'b'])


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


def test_the_labels_of_a_list_stand_in_the_given_classes(tmp_path):
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
        ('a.jpg 1\nb.jpg 2x', None, "list.txt, line 2: label '2x' is no number, as the first one is"),
        ('a.jpg 1\nb.jpg 1.5', None, "label '1.5' is no number"),
        ('a.jpg cat\nb.jpg cow', ['cat', 'dog'], "list.txt, line 2: 'cow' is none of the 2 classes"),
        (
            'x/a.jpg 0\nx/b.jpg 1',
            None,
            'x/a.jpg does not exist, nor do the next images of .*list.txt: .* by data_prefix',
        ),
    ],
)
def test_a_bad_line_of_a_list_is_named(tmp_path, text, classes, words):
    with pytest.raises(UserError, match=words) as caught:
        listed(tmp_path, text, classes=classes)
    assert '\n' not in str(caught.value)


def test_a_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match='nowhere.txt does not exist: its path is relative to data_root'):
        read_source(str(tmp_path), ann_file='nowhere.txt')


# --- iNaturalist ------------------------------------------------------------------------------------------------------
OAK, ASH = dict(id=0, name='oak', supercategory='Plantae'), dict(id=1, name='ash', supercategory='Plantae')


def naturalist(tmp_path, labels=((11, 1), (10, 0), (12, 1)), **changes) -> Path:
    """A file in the published layout; a change to None takes a key out."""
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
def test_classes_without_names_of_their_own_are_ids(tmp_path, categories, classes):
    source = inaturalist(naturalist(tmp_path, categories=categories))
    assert source.classes == classes and sorted(source.labels.tolist()) == [0, 1, 1]


def test_ids_that_do_not_begin_at_zero_are_labelled_by_their_place(tmp_path):
    source = inaturalist(
        naturalist(
            tmp_path,
            ((1, 70), (2, 5)),
            categories=[dict(id=70, name='ash'), dict(id=5, name='oak'), dict(id=31, name='elm')],
        )
    )
    assert dict(pairs(source)) == {'train_val2018/Plantae/70/1.jpg': 2, 'train_val2018/Plantae/5/2.jpg': 0}
    assert source.classes == ('oak', 'elm', 'ash')


def test_without_categories_the_number_of_classes_says_what_the_ids_are(tmp_path):
    folder = naturalist(tmp_path, ((1, 3), (2, 0)), categories=None)
    with pytest.raises(UserError, match='no categories, and its category_ids are not all of 0 to 3: give the number'):
        inaturalist(folder)
    source = inaturalist(folder, classes=5)
    assert sorted(source.labels.tolist()) == [0, 3] and source.classes == ('0', '1', '2', '3', '4')
    with pytest.raises(UserError, match='category_id 3 is none of the 3 categories'):
        inaturalist(folder, classes=3)


def test_other_names_may_be_given_to_inaturalist_s_classes(tmp_path):
    assert inaturalist(naturalist(tmp_path), classes=['Quercus', 'Fraxinus']).classes == ('Quercus', 'Fraxinus')
    with pytest.raises(UserError, match='train2018.json has 2 classes, but classes has 3'):
        inaturalist(tmp_path, classes=3)


IMAGE, LABEL = dict(id=1, file_name='a.jpg'), dict(image_id=1, category_id=0)


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(annotations=None), r"not in the layout of iNaturalist 2017 to 2019 .*KeyError\('annotations'\)"),
        (dict(images=None), r"KeyError\('images'\)"),
        (dict(images=[dict(id=1)], annotations=[LABEL]), r"KeyError\('file_name'\)"),
        (dict(images=[IMAGE], annotations=[dict(image_id=1)]), r"KeyError\('category_id'\)"),
        (dict(images=[IMAGE], annotations=[dict(image_id=1, category_id='oak')]), 'ValueError'),
        (dict(images=[1], annotations=[]), 'TypeError'),
        (dict(categories=['oak']), 'Error'),
        (dict(images=[], annotations=[]), '0 annotations for 0 images'),
        (dict(images=[IMAGE], annotations=[]), '0 annotations for 1 images; expected one for each'),
        (dict(images=[IMAGE], annotations=[LABEL, LABEL]), '2 annotations for 1 images'),
        (
            dict(images=[IMAGE], annotations=[dict(LABEL, image_id=2)]),
            '1 annotations for 1 images; expected one for each',
        ),
        (dict(images=[IMAGE], annotations=[dict(LABEL, category_id=2)]), 'category_id 2 is none of the 2 categories'),
        (dict(images=[IMAGE], annotations=[LABEL]), 'a.jpg does not exist, nor do the next images'),
    ],
)
def test_json_of_another_layout_is_refused_in_one_line(tmp_path, changes, words):
    with pytest.raises(UserError, match=words) as caught:
        inaturalist(naturalist(tmp_path, **changes))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'text, words', [('{"images": [', 'train2018.json is no JSON: '), ('[]', 'not in the layout of iNaturalist')]
)
def test_what_is_no_json_of_that_kind_is_refused(tmp_path, text, words):
    (tmp_path / 'train2018.json').write_text(text)
    with pytest.raises(UserError, match=words):
        inaturalist(tmp_path)


# --- CIFAR ------------------------------------------------------------------------------------------------------------
def cifar_folder(folder: Path, hundred: bool, count: int = 4) -> Path:
    """Files in the published layout, with ``count`` images each; pixels are the image's label."""
    folder = folder / ('cifar-100-python' if hundred else 'cifar-10-batches-py')
    folder.mkdir()
    key = 'fine_labels' if hundred else 'labels'
    files = ['train', 'test'] if hundred else [f'data_batch_{number}' for number in range(1, 6)] + ['test_batch']
    for file in files:
        labels = [(number + len(file)) % 10 for number in range(count)]
        data = np.repeat(np.array(labels, np.uint8)[:, None], 3072, 1)
        data[:, :1024] += 100  # red comes first
        (folder / file).write_bytes(
            pickle.dumps({key: labels, 'data': data, 'filenames': [str(i) for i in range(count)]})
        )
    names = [f'class{number}' for number in range(100 if hundred else 10)]
    meta, name = ('meta', 'fine_label_names') if hundred else ('batches.meta', 'label_names')
    (folder / meta).write_bytes(pickle.dumps({name: names}))
    return folder


@pytest.fixture
def any_checksum(monkeypatch):
    """Let torchvision take the made-up files for the published ones."""
    monkeypatch.setattr(cifar, 'check_integrity', lambda path, md5=None: Path(path).is_file())


@pytest.mark.parametrize('hundred, train, test', [(False, 20, 4), (True, 4, 4)])
def test_cifar_is_read_from_its_folder_or_the_one_above(tmp_path, any_checksum, hundred, train, test):
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


def test_both_cifars_in_one_folder_are_ambiguous(tmp_path, any_checksum):
    for hundred in (False, True):
        cifar_folder(tmp_path, hundred)
    with pytest.raises(UserError, match='holds cifar-10-batches-py and cifar-100-python: give one of them'):
        read_source(str(tmp_path))
    assert len(read_source(str(tmp_path / CIFAR10.base_folder)).classes) == 10


# --- a few of each class ----------------------------------------------------------------------------------------------
def many(tmp_path, order=1) -> Path:
    lines = [f'{label}/{number}.jpg {label}' for label in (2, 0, 1) for number in range(4 + 6 * label)]
    save_photo(tmp_path / '0' / '0.jpg')
    for line in lines:
        path = tmp_path / line.split()[0]
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / 'list.txt').write_text('\n'.join(lines[::order]))
    return tmp_path


@pytest.mark.parametrize('count, kept', [(1, [1, 1, 1]), (5, [4, 5, 5]), (12, [4, 10, 12]), (99, [4, 10, 16])])
def test_per_class_keeps_so_many_of_each_class(tmp_path, count, kept):
    source = read_source(str(many(tmp_path)), ann_file='list.txt', per_class=count)
    assert np.bincount(source.labels).tolist() == kept
    assert all(name.startswith(f'{label}/') for name, label in pairs(source))


def test_what_is_kept_depends_on_the_path_alone_and_grows_with_the_number(tmp_path):
    def kept(count, order=1):
        return read_source(str(many(tmp_path, order)), ann_file='list.txt', per_class=count).names

    assert kept(3) == kept(3, -1)[::-1] != []
    assert set(kept(3)) < set(kept(4)) and kept(3) != kept(99)[:3]
    everything = kept(99)
    assert kept(4) == [name for name in everything if name in set(kept(4))]
    firsts = [name for label in range(3) for name in sorted(name for name in everything if name[0] == str(label))[:3]]
    assert set(kept(3)) != set(firsts)  # the first by name may be one burst of a camera


def test_per_class_is_for_cifar_too(tmp_path, any_checksum):
    source = read_source(str(cifar_folder(tmp_path, False)), per_class=1)
    assert sorted(source.labels.tolist()) == sorted(set(source.labels.tolist()))
    assert np.array_equal(source.images[:, 0, 0, 1], source.labels)


def test_per_class_is_positive(tmp_path):
    with pytest.raises(UserError, match='per_class is a number of images, 1 or more; found 0'):
        read_source(str(many(tmp_path)), ann_file='list.txt', per_class=0)
