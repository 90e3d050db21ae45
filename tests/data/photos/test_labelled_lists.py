"""Labels in list files: numbers and words, what is unusual is told."""

from __future__ import annotations

import pytest

from mae_transfer.data import LabelledPhotos
from mae_transfer.data.photos import labelled
from mae_transfer.data.photos.labels import read_source
from mae_transfer.errors import UserError
from tests.data.sources import pairs
from tests.helpers import save_photo


def listed(folder, text, **settings):
    save_photo(folder / 'a.jpg', size=(4, 4))
    (folder / 'list.txt').write_text(text)
    return read_source(str(folder), 'train', 'list.txt', **settings)


def test_labels_numbered_from_1_are_told(tmp_path):
    source = listed(tmp_path, 'a.jpg 1\nb.jpg 2')
    assert pairs(source) == [('a.jpg', 1), ('b.jpg', 2)] and len(source.classes) == 3
    assert source.notes == (
        f'{tmp_path}/list.txt: no image has the label 0, the least is 1: labels are numbered from 0, so class 0 is one '
        'without images',
    )
    assert not listed(tmp_path, 'a.jpg 0\nb.jpg 2').notes


def test_notes_are_logged_by_the_data_set(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr(labelled, 'warn_once', lines.append)
    listed(tmp_path, 'a.jpg 1')
    LabelledPhotos(str(tmp_path), ann_file='list.txt', img_size=8)
    assert len(lines) == 1 and 'no image has the label 0' in lines[0]


def test_whole_numbers_may_be_written_as_floats(tmp_path):
    source = listed(tmp_path, 'path,label\na.jpg,0.0\nb.jpg,2.0\nc.jpg,1')
    assert source.labels.tolist() == [0, 2, 1] and source.numbered and source.classes == ('0', '1', '2')


@pytest.mark.parametrize(
    'text, classes, says',
    [
        ('a.jpg 1\nb.jpg 2', 2, 'line 2: label 2 is out of range: 2 classes have the labels 0 to 1; are they numbered'),
        ('a.jpg 1\nb.jpg 7', 2, 'line 2: label 7 is out of range: 2 classes have the labels 0 to 1$'),
        ('a.jpg 0\nb.jpg 0.5', None, "line 2: label '0.5' is not a whole number, although the first label is one"),
        ('a.jpg 0\nb.jpg 1002003', None, 'the labels go up to 1002003: expected numbers of classes from 0; for ids'),
        ('a.jpg -1', None, 'line 1: label -1 is out of range: labels begin at 0'),
        ('a.jpg 0\nb.jpg ' + '9' * 40, None, 'line 2: label .* is not a whole number'),
    ],
)
def test_labels_that_cannot_be_are_refused(tmp_path, text, classes, says):
    with pytest.raises(UserError, match=says) as caught:
        listed(tmp_path, text, classes=classes)
    assert '\n' not in str(caught.value)


def test_an_image_with_two_labels_is_told(tmp_path):
    assert listed(tmp_path, 'a.jpg x\na.jpg y').notes == (
        f'{tmp_path}/list.txt: 1 of 2 lines name an image again',
        f"{tmp_path}/list.txt: some images are listed with several labels, e.g. 'a.jpg'",
    )
    assert len(listed(tmp_path, 'a.jpg x\na.jpg x').notes) == 1
