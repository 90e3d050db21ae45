"""Lists after public reports: other spellings, labels that are none, images that are missing or shared."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from mae_transfer.data import LabelledPhotos
from mae_transfer.data.files.image_files import ImageSearch, warn_once
from mae_transfer.data.photos.corruptions import ImageNetC
from mae_transfer.data.photos.labels import read_source
from mae_transfer.data.photos.loaders import dataset_settings
from mae_transfer.data.photos.same_classes import check_same_classes
from mae_transfer.errors import UserError


@pytest.fixture
def told(monkeypatch):
    """The lines of the log until now."""
    warn_once.cache_clear()
    lines: list[str] = []
    monkeypatch.setattr('mae_transfer.data.files.image_files.print_log', lambda line, **settings: lines.append(line))
    return lambda: '\n'.join(lines)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'sub').mkdir()
    for name in ('a.jpg', 'b.jpg', 'sub/c d.jpg'):
        Image.new('RGB', (8, 8)).save(tmp_path / name)
    return tmp_path


def source(folder, text, name='list.txt', **settings):
    (folder / name).write_text(text if isinstance(text, str) else json.dumps(text))
    return read_source(str(folder), ann_file=name, **settings)


@pytest.mark.parametrize(
    'given, names, note',
    [
        ('file://{0}/a.jpg 0\nfile://{0}/sub/c%20d.jpg 1', ['{0}/a.jpg', '{0}/sub/c d.jpg'], 'file:// is left out'),
        ('a.JPG 0\nb.JPG 1', ['a.jpg', 'b.jpg'], 'suffixes are read in lower case'),
        ('id,label\na,0\nb,1', ['a.jpg', 'b.jpg'], '.jpg is added to the paths'),
    ],
)
def test_spellings(folder, given, names, note):
    found = source(folder, given.format(folder))
    assert found.names == [name.format(folder) for name in names] and note in found.notes[-1]


@pytest.mark.parametrize(
    'text, says',
    [
        ('https://x.org/a.jpg 0', 'it is a URL: download the images'),
        ('C:\\my\\a.jpg 0', r"it exists without 'C:\\my\\': take that out of the paths"),
        ('/home/me/sub/c d.jpg 0', "it exists without '/home/me/': take"),
        ('{"file": "a.jpg", "label": 0}', 'looks like JSON: write a path on each line'),
        ('sub 0', "names folders, e.g. 'sub': list the images"),
        ('list.txt 0', "names files that are no images by their suffix, e.g. 'list.txt'"),
        ('filename,cat,dog\na.jpg,1,0', "'filename,cat,dog' names no column of labels"),
        ('a.jpg 0.5\nb.jpg 0.7', "line 1: label '0.5' is a number, but no class's"),
        (f'a.jpg {10**25}', "is a number, but no class's"),
        ('a.jpg nan\nb.jpg 0', "line 1: label 'nan' is no number"),
        ('\x89HDF\x1a', 'is not a text file'),
    ],
)
def test_lists_that_are_refused(folder, text, says):
    with pytest.raises(UserError, match=says):
        source(folder, text)


@pytest.mark.parametrize(
    'text, notes',
    [
        ('a.jpg 0\nb.jpg 9', '8 of 10 classes have no image: the labels are 0, 9; if these are ids, write words'),
        ('a.jpg,Cat\nb.jpg,cat', "1 of 2 classes have nearly the name of another, e.g. 'Cat' and 'cat': they are kept"),
        ('a.jpg,stop_sign\nb.jpg,stop sign', 'have nearly the name of another'),
        ('a.jpg 0\na.jpg 0\nb.jpg 1', '1 of 3 lines name an image again'),
    ],
)
def test_what_is_told_of_lists(folder, text, notes):
    assert notes in ' '.join(source(folder, text).notes)


def test_whole_numbers_in_other_forms_and_names_that_are_numbers(folder):
    assert source(folder, 'a.jpg 1e0\nb.jpg 0').labels.tolist() == [1, 0]
    assert source(folder, 'a.jpg 3\nb.jpg 7', classes=['7', '3']).labels.tolist() == [1, 0]


def test_missing_images_of_a_list(folder, told):
    (folder / 'list.txt').write_text('a.jpg 0\nb.jpg 1\ngone.jpg 1')
    says = "1 of 3 images that were looked for do not exist, e.g. 'gone.jpg' in line 3"
    LabelledPhotos(str(folder), ann_file='list.txt')
    assert says in told()
    with pytest.raises(UserError, match=f'{says}: restore them, or take them out'):
        LabelledPhotos(str(folder), 'val', ann_file='list.txt')


def spaces(folder, train, val):
    (folder / 't.txt').write_text(train)
    (folder / 'v.txt').write_text(val)
    return (LabelledPhotos.label_space(str(folder), split, f'{split[0]}.txt') for split in ('train', 'val'))


def test_images_that_are_in_both_lists_are_told(folder, told):
    check_same_classes(*spaces(folder, 'a.jpg 0\nb.jpg 1', './a.jpg 1\nsub/c d.jpg 0'), 2)
    assert f'1 of 2 listed images of val are in train, too, e.g. {folder}/a.jpg: their accuracy says nothing' in told()
    assert told().endswith('; 1 have another label there')


def test_numbers_against_names_are_told(folder, told):
    check_same_classes(*spaces(folder, 'a.jpg x\nb.jpg y', 'sub/c d.jpg 1'), 2)
    assert "label 0 is taken as 'x', 1 as 'y'" in told()


def test_single_folders_in_train_and_val(folder):
    for name in ('train/train/a', 'val/val/a'):
        (folder / name).mkdir(parents=True)
    spaces = (LabelledPhotos.label_space(str(folder), split) for split in ('train', 'val'))
    with pytest.raises(UserError, match='each has a single folder; the class folders belong directly into those'):
        check_same_classes(*spaces, 2)


def test_folders_that_are_numbers_are_sorted_as_text_and_told(folder):
    for name in ('1', '2', '10'):
        (folder / 'train' / name).mkdir(parents=True)
        Image.new('RGB', (8, 8)).save(folder / 'train' / name / 'a.png')
    found = read_source(str(folder))
    assert found.classes == ('1', '10', '2') and "label 1 is '10'; for another order" in found.notes[-1]


# JSON


def inaturalist(folder, ids=(1, 2), categories=(0, 1), image_ids=None, category_ids=None):
    return source(
        folder,
        dict(
            images=[dict(id=number, file_name=name) for number, name in zip(ids, ('a.jpg', 'b.jpg'))],
            annotations=[
                dict(image_id=image, category_id=category)
                for image, category in zip(image_ids or ids, category_ids or categories)
            ],
            categories=[dict(id=number, name=f'n{number}') for number in categories],
        ),
        'list.json',
    )


def test_ids_as_text(folder):
    found = inaturalist(folder, image_ids=('1', '2'))
    assert found.labels.tolist() == [0, 1] and "ids are no plain whole numbers, e.g. '1'" in found.notes[0]
    assert inaturalist(folder, categories=('oak', 'elm')).labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    'settings, says',
    [
        (dict(category_ids=(0.7, 1)), '1 ids are neither whole numbers nor text, e.g. 0.7'),
        (dict(category_ids=(None, 1)), 'e.g. None'),
        (dict(category_ids=(float('inf'), 1)), 'e.g. inf'),
        (dict(category_ids=(True, 1)), 'e.g. True'),
        (dict(ids=(1, 1)), 'two images have the id 1'),
        (dict(categories=(1, 1)), 'two categories have the id 1'),
        (dict(image_ids=(1, 1)), '2 annotations for 2 images; expected one for each image, but 2 are for image 1'),
        (dict(image_ids=(1, 9)), 'but 1 are for image 9, which is not among the images'),
    ],
)
def test_ids_that_cannot_be(folder, settings, says):
    with pytest.raises(UserError, match=says):
        inaturalist(folder, **settings)


# Folders


def test_runs_are_not_searched(folder, told):
    (folder / 'sub' / '20260101_010101' / 'vis_data').mkdir(parents=True)
    search = ImageSearch(folder)
    assert search.below(folder) == ['a.jpg', 'b.jpg']
    assert search.notes() == (f'{folder}: work_dirs of runs are passed over (1): {folder}/sub',)
    with pytest.raises(UserError, match='is the work_dir of a run, whose pictures would count as images'):
        ImageSearch(folder / 'sub').below(folder / 'sub')


def test_repeated_data_roots_are_told(folder, told):
    dataset_settings(dict(type='Photos', data_root=[str(folder), f'{folder}/']))
    assert 'data_root names the same folder several times: 2 roots are 1 places' in told()
    dataset_settings(dict(type='Photos', data_root=[str(folder / 'sub'), str(folder)]))
    assert f"data_root: '{folder}/sub' lies in '{folder}': its images count twice" in told()


@pytest.mark.parametrize(
    'corruptions, says',
    [
        ('fog', "5 of 5 folders are missing, e.g. 'fog/1'"),
        (5, 'corruptions is a list of names'),
        (None, 'corruptions is a list of names'),
        (('fog', 'fog'), 'names one of them twice'),
        (('snow',), 'found snow/ with severity_1'),
    ],
)
def test_corruptions_that_are_none(folder, corruptions, says):
    (folder / 'snow' / 'severity_1').mkdir(parents=True)
    with pytest.raises(UserError, match=says):
        ImageNetC(str(folder), corruptions)
