"""Which photos become which shards, and what is told of the time."""

from __future__ import annotations

import pytest

from mae_transfer.data.files import shard_writing
from mae_transfer.data.photos import sharding
from mae_transfer.data.photos.sharding import PREFIX, parts_of, write_parts
from mae_transfer.errors import UserError
from tests.data.sources import tree


def named(parts):
    return [(part.prefix, list(part.names), part.labels, part.classes) for part in parts]


def test_a_folder_without_splits(tmp_path):
    root = tree(tmp_path, 'b/1.jpg', 'a.jpg', 'train/x.jpg')
    assert named(parts_of(root, labelled=False)) == [(PREFIX, ['a.jpg', 'b/1.jpg', 'train/x.jpg'], None, ())]


def test_folders_of_splits(tmp_path, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(sharding, 'warn_once', told.append)
    root = tree(tmp_path, 'train/a/1.jpg', 'train/b/2.jpg', 'valid/a/3.jpg', 'valid/b/4.jpg', 'extra/5.jpg')
    assert named(parts_of(root, labelled=False)) == [
        ('train', ['a/1.jpg', 'b/2.jpg'], None, ()),
        ('val', ['a/3.jpg', 'b/4.jpg'], None, ()),
    ]
    assert told == [f'{root}: only train and valid are written, not 1 other folders (extra)']
    assert named(parts_of(root, labelled=True)) == [
        ('train', ['a/1.jpg', 'b/2.jpg'], [0, 1], ('a', 'b')),
        ('val', ['a/3.jpg', 'b/4.jpg'], [0, 1], ('a', 'b')),
    ]


def test_other_classes_in_val_are_refused(tmp_path):
    root = tree(tmp_path, 'train/a/1.jpg', 'train/b/2.jpg', 'val/b/4.jpg')
    with pytest.raises(UserError, match=r'the classes of train \(2\) and val \(1\) differ, so that their labels would'):
        parts_of(root, labelled=True)


def test_lists(tmp_path):
    root = tree(tmp_path, 'x/1.jpg', 'x/2.jpg')
    (root / 'numbers.txt').write_text('x/2.jpg 1\nx/1.jpg 0\n')
    assert named(parts_of(root / 'numbers.txt', labelled=True)) == [(PREFIX, ['x/2.jpg', 'x/1.jpg'], [1, 0], ())]
    assert named(parts_of(root / 'numbers.txt', labelled=False)) == [(PREFIX, ['x/2.jpg', 'x/1.jpg'], None, ())]
    (root / 'x' / 'list.txt').write_text('../x/2.jpg\n')
    with pytest.raises(UserError, match="1 of 1 photos are not below the list's folder, e.g. '../x/2.jpg': names in"):
        parts_of(root / 'x' / 'list.txt', labelled=False)


def test_where_one_part_fails_nothing_is_left(tmp_path):
    root = tree(tmp_path / 'photos', 'train/a/1.jpg', 'train/b/2.jpg', 'val/a/3.jpg', 'val/b/4.jpg')
    parts = parts_of(root, labelled=True)
    for path in (root / 'val').rglob('*.jpg'):
        path.write_bytes(b'')
    with pytest.raises(UserError, match='none of the 2 photos in .*val can be read'):
        write_parts(parts, tmp_path / 'out')
    assert not list((tmp_path / 'out').iterdir())


def test_old_shards_are_there_until_the_new_ones_are_complete(tmp_path, monkeypatch):
    parts = parts_of(tree(tmp_path / 'photos', 'a.jpg', 'b.jpg'), labelled=False)
    write_parts(parts, tmp_path / 'out', shard_size=1)
    assert len(list((tmp_path / 'out').glob('*.tar'))) == 2

    def full(*_):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(shard_writing.os, 'fsync', full)
        with pytest.raises(UserError, match='cannot be written to: No space left on device'):
            write_parts(parts, tmp_path / 'out', overwrite=True)
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['photos-000000.tar', 'photos-000001.tar']
    write_parts(parts, tmp_path / 'out', overwrite=True)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['photos-000000.tar']
