"""Folders of splits under other names, and what lies beside them."""

from __future__ import annotations

import pytest

from mae_transfer.data.files.image_files import warn_once
from mae_transfer.data.files.photo_sources import find_photos
from mae_transfer.data.files.splits import find_split
from mae_transfer.data.photos.labels import split_folder
from mae_transfer.errors import UserError


@pytest.fixture
def told(monkeypatch):
    """The lines of the log until now."""
    warn_once.cache_clear()
    lines: list[str] = []
    monkeypatch.setattr('mae_transfer.data.files.image_files.print_log', lambda line, **settings: lines.append(line))
    return lambda: '\n'.join(lines)


def fill(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    'split, folders, found',
    [
        ('train', ['train', 'training'], 'train'),
        ('train', ['Train', 'val'], 'Train'),
        ('train', ['TRAINING'], 'TRAINING'),
        ('val', ['valid'], 'valid'),
        ('val', ['Validation', 'test'], 'Validation'),
        ('val', ['valid', 'validation'], None),
        ('val', ['test'], None),
        ('test', ['test'], 'test'),
        ('test', ['Test'], None),
    ],
)
def test_the_folder_of_a_split(split, folders, found):
    assert find_split(split, folders) == found


@pytest.mark.parametrize('train, val', [('training', 'valid'), ('Train', 'Val'), ('train', 'validation')])
def test_photos_are_split_by_folders_of_other_names(tmp_path, told, train, val):
    fill(tmp_path, f'{train}/a.jpg', f'{train}/b.jpg', f'{val}/c.jpg')
    for split, folder, names in (('train', train, ['a.jpg', 'b.jpg']), ('val', val, ['c.jpg'])):
        found = find_photos(str(tmp_path), split, 0.5)
        assert (found.root, found.names) == (tmp_path / folder, names)
    assert told() == f"{tmp_path}: '{train}' and '{val}' are read as train and val"


def test_photos_beside_the_splits_are_told(tmp_path, told):
    fill(tmp_path, 'train/a.jpg', 'val/b.jpg', 'extra/c.jpg', 'd.jpg', 'read.me')
    assert find_photos(str(tmp_path), 'train', 0).names == ['a.jpg']
    assert (
        told() == f'{tmp_path}: only train and val are searched, not 1 other folders (extra) and 1 images beside them'
    )


def test_photos_of_a_test_set_are_told(tmp_path, told):
    fill(tmp_path, 'train/a.jpg', 'test/b.jpg')
    assert find_photos(str(tmp_path), 'train', 0).names == ['test/b.jpg', 'train/a.jpg']
    assert told().endswith(f"photos in 'test' are used for training, too: data_root={tmp_path}/train leaves them out")


@pytest.mark.parametrize('hold_out', [1.5, -1, True, 'many', float('nan'), None])
def test_an_impossible_share_is_refused(tmp_path, hold_out):
    with pytest.raises(UserError, match='hold_out is a share of the photos, from 0 to 1; found'):
        find_photos(str(fill(tmp_path, 'a.jpg')), 'val', hold_out)


def test_all_photos_held_out_leave_none_for_training(tmp_path):
    with pytest.raises(UserError, match='hold_out=1 leaves no photo for training'):
        find_photos(str(fill(tmp_path, 'a.jpg', 'b.jpg')), 'train', 1)


def test_an_empty_path_is_not_the_current_folder():
    with pytest.raises(UserError, match='data_root is empty: give a folder'):
        find_photos('', 'train', 0)


def test_class_folders_of_splits_of_other_names(tmp_path, told):
    fill(tmp_path, 'training/a/x.jpg', 'valid/a/y.jpg')
    assert split_folder(tmp_path, 'val') == tmp_path / 'valid'
    assert told() == f"{tmp_path}: 'valid' is read as val"


@pytest.mark.parametrize(
    'names, split, says',
    [
        (['train/a/x.jpg', 'test/a/x.jpg'], 'val', 'to evaluate on test, set val_dataloader.dataset.split=test test_'),
        (['set/train/a/x.jpg', 'set/val/a/x.jpg'], 'train', 'set data_root=.*/set, which has them'),
        (['a/x.jpg', 'b/x.jpg'], 'train', 'expected .*/train/<class>/<image> and .*/val/<class>/<image>$'),
        (['a/x.jpg', 'b/x.jpg'], 'val', 'if these are class folders, set split=None'),
    ],
)
def test_what_is_there_in_place_of_a_split(tmp_path, names, split, says):
    with pytest.raises(UserError, match=says):
        split_folder(fill(tmp_path, *names), split)
