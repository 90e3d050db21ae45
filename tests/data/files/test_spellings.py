"""Names as another system spelled them are found."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from mae_transfer.data.files.spellings import existing_names
from mae_transfer.errors import UserError


def found(folder: Path, *names: str) -> tuple[list[str], tuple[str, ...]]:
    return existing_names(list(names), folder, Path('list.txt'), 'look again')[:2]


@pytest.fixture
def folder(tmp_path):
    for name in ('a.jpg', 'sub/b.jpg', 'sub/é.jpg', 'back\\slash.jpg', unicodedata.normalize('NFD', 'ü.jpg')):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    'given, name, note',
    [
        ('sub\\b.jpg', 'sub/b.jpg', 'backslashes are read as slashes'),
        ('/sub/b.jpg', 'sub/b.jpg', 'paths that begin with a slash are read as relative'),
        ('sub/\udce9.jpg', 'sub/é.jpg', 'it is read as Windows-1252'),
        (
            '\\sub\\\udce9.jpg',
            'sub/é.jpg',
            'backslashes are read as slashes, and paths that begin with a slash are read as relative, and it is read '
            'as Windows-1252',
        ),
        (
            unicodedata.normalize('NFD', 'sub/é.jpg'),
            'sub/é.jpg',
            'accents are read as part of their letters (Unicode NFC)',
        ),
        (
            unicodedata.normalize('NFC', 'ü.jpg'),
            unicodedata.normalize('NFD', 'ü.jpg'),
            'accents are read as signs of their own (Unicode NFD)',
        ),
        ('back\\slash.jpg', 'back\\slash.jpg', None),
        ('sub/é.jpg', 'sub/é.jpg', None),
        ('sub//b.jpg', 'sub//b.jpg', None),
    ],
)
def test_the_spelling_that_exists_is_taken_and_told(folder, given, name, note):
    assert found(folder, 'a.jpg', given) == (['a.jpg', name], () if note is None else (f'list.txt: {note}',))


def test_absolute_paths_are_kept_where_they_exist(folder):
    path = str(folder / 'sub/b.jpg')
    assert found(folder / 'sub', path) == ([path], ())


def test_some_may_be_missing(folder):
    assert found(folder, 'gone.jpg', 'a.jpg') == (['gone.jpg', 'a.jpg'], ())


@pytest.mark.parametrize('name', ['gone.jpg', 'x' * 300 + '.jpg', 'a.jpg/b.jpg', '\\\\server\\a.jpg'])
def test_none_may_not(folder, name):
    with pytest.raises(UserError, match=r'none of the images that list.txt names exists \(2 of 2 looked for\)'):
        found(folder, name, name)


def test_of_a_long_list_a_sample_is_looked_for(tmp_path):
    with pytest.raises(UserError, match=r'\(64 of 1000 looked for\)'):
        found(tmp_path, *(f'sub\\{number}.jpg' for number in range(1000)))
