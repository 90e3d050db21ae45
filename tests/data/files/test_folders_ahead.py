"""Folders are read ahead by several threads at once, and found as they are one after the other."""

from __future__ import annotations

import os
import threading

import pytest

from mae_transfer.data.files import folders_ahead
from mae_transfer.data.files.folders_ahead import FoldersAhead, read_folder
from mae_transfer.data.files.image_files import ImageSearch


@pytest.fixture
def tree(tmp_path):
    """Eight folders of two photos; in each a folder of one."""
    for number in range(8):
        (tmp_path / f'{number}' / 'below').mkdir(parents=True)
        for name in ('a.jpg', 'b.txt', 'below/c.jpg'):
            (tmp_path / f'{number}' / name).touch()
    return tmp_path


def test_a_folder_that_is_read_ahead_is_the_folder(tree):
    with FoldersAhead() as ahead:
        ahead.read([str(tree), str(tree / '1')])
        for path in (tree, tree / '1', tree / '2'):  # the last was not begun
            found, wanted = ahead.take(str(path)), read_folder(str(path))
            assert found.identity == wanted.identity
            assert sorted(entry.path for entry in found.entries()) == sorted(entry.path for entry in wanted.entries())


def test_a_folder_that_is_missing_or_closed_is_told_when_it_is_taken(tree, monkeypatch):
    def closed(path):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(folders_ahead.os, 'scandir', closed)
    with FoldersAhead() as ahead:
        ahead.read([str(tree / 'nowhere'), str(tree / '1')])
        with pytest.raises(FileNotFoundError):
            ahead.take(str(tree / 'nowhere'))
        folder = ahead.take(str(tree / '1'))
        with pytest.raises(PermissionError):
            folder.entries()


@pytest.mark.parametrize('each', [False, True])
def test_a_search_reads_several_folders_at_once(tree, monkeypatch, each):
    """Four must be read at the same time before any of them is."""
    together, real = threading.Barrier(4, timeout=20), os.scandir

    def scandir(path):
        if str(path) != str(tree) and not str(path).endswith('below'):
            together.wait()
        return real(path)

    monkeypatch.setattr(folders_ahead.os, 'scandir', scandir)
    search = ImageSearch(tree)
    if each:
        assert search.below_each(tree / str(number) for number in range(8)) == [['a.jpg', 'below/c.jpg']] * 8
    else:
        assert search.below(tree) == [f'{number}/{name}' for number in range(8) for name in ('a.jpg', 'below/c.jpg')]
    assert '.txt 8' in search.notes()[0]


def test_the_threads_end_with_the_search(tree):
    before = threading.active_count()
    ImageSearch(tree).below(tree)
    assert threading.active_count() == before
