"""Class names, given in every form or found in folders, and the labels of class folders."""

import os

import pytest

from mae_transfer.data.label_maps.class_names import class_names
from mae_transfer.data.photos.classes import class_folders, folder_labels, given_or_own, naming_classes, resolve_classes
from mae_transfer.errors import UserError
from tests.helpers import save_photo


def test_imagenet_s_classes_are_its_thousand_ids_in_label_order():
    names = resolve_classes('imagenet')
    assert len(names) == 1000 and names[0] == 'n01440764' and names[999] == 'n15075141'  # tench, toilet tissue


@pytest.mark.parametrize(
    'classes, names',
    [
        (None, None),
        (['dog', 'cat'], ('dog', 'cat')),
        (('b', 'a'), ('b', 'a')),
        (3, ('0', '1', '2')),
        ([7, 5], ('7', '5')),
    ],
)
def test_classes_are_named_by_a_list_or_a_number(classes, names):
    assert resolve_classes(classes) == names


@pytest.mark.parametrize(
    'text, names',
    [
        ('dog\ncat\n', ('dog', 'cat')),
        ('\n polar bear \n\ncat', ('polar bear', 'cat')),
        ('/a/airfield 0\n/a/alley 1\n', ('/a/airfield', '/a/alley')),  # Places365
        ('/a/airfield 1\n/a/alley 0\n', ('/a/airfield 1', '/a/alley 0')),
        ('area 0\narea 51\n', ('area 0', 'area 51')),
    ],
)
def test_classes_are_named_by_a_file(tmp_path, text, names):
    (tmp_path / 'names.txt').write_text(text)
    assert resolve_classes(str(tmp_path / 'names.txt')) == names


@pytest.mark.parametrize(
    'classes, words',
    [
        ('nowhere.txt', "classes='nowhere.txt' is not a file: give a file with one name per line, 'imagenet'"),
        ([], r'classes=\[\] names no class'),
        (0, 'classes=0 names no class'),
        (['a', 'b', 'c', 'b'], "classes contains the name 'b' twice"),
    ],
)
def test_invalid_classes_are_refused(classes, words):
    with pytest.raises(UserError, match=words):
        resolve_classes(classes)


def test_given_names_replace_a_source_s_own_of_the_same_number(tmp_path):
    assert given_or_own(None, ['0', '1'], tmp_path) == ('0', '1')
    assert given_or_own(('oak', 'ash'), ['0', '1'], tmp_path) == ('oak', 'ash')
    with pytest.raises(UserError, match='has 2 classes, but classes has 3'):
        given_or_own(('oak', 'ash', 'elm'), ['0', '1'], tmp_path)


def test_class_folders_are_sorted_without_hidden_ones_and_files(tmp_path):
    for name in ('b', 'a', '10', '9', '.git', 'C'):
        (tmp_path / name).mkdir()
    (tmp_path / 'list.txt').write_text('')
    assert class_folders(tmp_path) == ['10', '9', 'C', 'a', 'b']


def test_a_link_to_a_folder_is_a_class_folder(tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'cat').symlink_to(tmp_path / 'elsewhere')
    assert class_folders(tmp_path / 'data') == ['cat']


def test_images_without_class_folders_are_refused(tmp_path):
    for name in ('a.jpg', 'b.png'):
        save_photo(tmp_path / name)
    with pytest.raises(UserError, match='contains no class folder, but 2 images directly: expected .*/<class>/<image>'):
        class_folders(tmp_path)
    with pytest.raises(UserError, match='nowhere does not exist: give a folder with one folder per class'):
        class_folders(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    'folders, classes, labels',
    [
        (['10', '9', 'a'], None, [('10', 0), ('9', 1), ('a', 2)]),
        (['a', 'c'], ('c', 'b', 'a'), [('c', 0), ('a', 2)]),
        (['0', '10', '2'], 'imagenet', [('0', 0), ('2', 2), ('10', 10)]),  # ImageNetV2
        (['0', '1'], ('1', '0'), [('1', 0), ('0', 1)]),
        (['n01440764', 'n15075141'], 'imagenet', [('n01440764', 0), ('n15075141', 999)]),
    ],
)
def test_folders_are_labelled_by_name_or_number_in_label_order(tmp_path, folders, classes, labels):
    assert list(folder_labels(folders, resolve_classes(classes), tmp_path).items()) == labels


@pytest.mark.parametrize(
    'folders, classes, words',
    [
        (['a', 'x', 'y'], ('a', 'b'), "2 of 3 class folders are not among the 2 classes, e.g. 'x'"),
        (['0', '2'], ('a', 'b'), "1 of 2 class folders are not among the 2 classes, e.g. '2'"),
        (['0', 'a'], ('a', 'b'), "1 of 2 class folders are not among the 2 classes, e.g. '0'"),
    ],
)
def test_a_folder_that_is_not_a_class_is_refused(tmp_path, folders, classes, words):
    with pytest.raises(UserError, match=words):
        folder_labels(folders, classes, tmp_path)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'cp1252'])
@pytest.mark.parametrize('end', ['\n', '\r\n'])
def test_a_file_of_names_may_be_in_any_usual_encoding(tmp_path, encoding, end):
    (tmp_path / 'names.txt').write_bytes(f'ant{end}abeille à miel{end}'.encode(encoding))
    assert resolve_classes(str(tmp_path / 'names.txt')) == ('ant', 'abeille à miel')


def test_a_file_of_names_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'names.txt').write_text('a\nb')
    assert resolve_classes('~/names.txt') == class_names('~/names.txt') == ('a', 'b')


@pytest.mark.parametrize('classes', ['x' * 300, 'a,' * 200 + 'b'])
def test_a_long_text_is_no_file(classes):
    with pytest.raises(UserError, match='is not a file'):
        resolve_classes(classes)


def test_folders_of_systems_and_links_to_what_contains_them_are_no_classes(tmp_path):
    for name in ('a', 'b', '__MACOSX', '.ipynb_checkpoints', '@eaDir'):
        (tmp_path / 'train' / name).mkdir(parents=True)
    for name, to in (('up', '..'), ('here', '.'), ('self', 'self'), ('gone', 'nowhere')):
        (tmp_path / 'train' / name).symlink_to(to)
    assert class_folders(tmp_path / 'train') == ['a', 'b']


@pytest.mark.parametrize(
    'content, says', [(b'PK\x03\x04...', 'is an archive, which must be unpacked'), (b'\xff\xd8', 'is no folder')]
)
def test_a_file_is_no_tree_of_classes(tmp_path, content, says):
    (tmp_path / 'data').write_bytes(content)
    with pytest.raises(UserError, match=f'data {says}: give a folder with one folder per class'):
        class_folders(tmp_path / 'data')


def test_folders_whose_names_are_not_utf_8_are_found_among_the_classes(tmp_path):
    folder = os.fsdecode(b'caf\xe9')
    assert folder_labels(['a', folder], ('caf\\xe9', 'a'), tmp_path) == {folder: 0, 'a': 1}


@pytest.mark.parametrize(
    'names, advice',
    [
        (('a', 'b-1', 'c_2'), 'name all classes: --cfg-options classes=a,b-1,c_2'),
        (('a', 'b c'), 'name all classes in a file, one per line: --cfg-options classes=classes.txt'),
        (('abcdefgh' * 5, 'hgfedcba' * 6), 'name all classes in a file, one per line: --cfg-options classes=classes'),
    ],
)
def test_advice_on_naming_the_classes(names, advice):
    assert naming_classes(names).startswith(advice)
