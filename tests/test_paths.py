"""Paths as users give them and as messages show them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mae_transfer.errors import UserError
from mae_transfer.paths import shown, user_path, with_home


@pytest.mark.parametrize(
    'given, meant',
    [
        ('~', '{home}'),
        ('~/photos/a', '{home}/photos/a'),
        ('photos/~', 'photos/~'),
        ('~no_such_user/x', '~no_such_user/x'),
        ('~tilde file.jpg', '~tilde file.jpg'),
        ('/data/x', '/data/x'),
    ],
)
def test_a_tilde_at_the_beginning_is_the_home_folder(given, meant, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert with_home(given) == str(user_path(given)) == meant.format(home=tmp_path)


@pytest.mark.parametrize('given', [None, 3, ['a'], 'a\0b'])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(UserError, match='ann_file is a path, e.g. ann_file=path/to/data; found'):
        user_path(given, 'ann_file')


@pytest.mark.parametrize(
    'name, seen',
    [
        (b'caf\xe9.jpg', 'caf\\xe9.jpg'),
        ('café.jpg'.encode(), 'café.jpg'),
        (b'two\nlines', 'two\\nlines'),
        ('\ufeffa.jpg'.encode(), '\\ufeffa.jpg'),
        ('日本 क्‍ष'.encode(), '日本 क्‍ष'),
    ],
)
def test_names_of_any_bytes_are_shown_as_one_line_of_text(name, seen):
    assert shown(os.fsdecode(name)) == shown(Path(os.fsdecode(name))) == seen
    assert seen.encode().decode() == seen


def test_half_a_pair_is_shown():
    assert shown('\ud800.jpg') == '\\ud800.jpg'
