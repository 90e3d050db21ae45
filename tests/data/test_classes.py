"""Class names, given in every form or found in folders, and the labels of class folders."""

import pytest

from mae_transfer.data.classes import class_folders, folder_labels, given_or_own, resolve_classes
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
