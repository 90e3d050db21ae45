"""Which tars a data_root stands for, which of them are of a split, and which photos are held out."""

from __future__ import annotations

import pytest

from mae_transfer.data import Photos
from mae_transfer.data.files import image_files, photo_sources, shard_sources
from mae_transfer.data.files.photo_sources import find_photos
from mae_transfer.errors import UserError
from tests.data.shards import samples, write_tar
from tests.helpers import save_photo


@pytest.fixture
def told(monkeypatch):
    lines: list[str] = []
    for module in (image_files, photo_sources, shard_sources):
        monkeypatch.setattr(module, 'warn_once', lines.append)
    return lines


def tars(folder, *names):
    """Tars of one photo each, called as the tar."""
    for name in names:
        write_tar(folder / name, samples(name.rpartition('/')[2].removesuffix('.tar')))
    return folder


def names(folder, split='train', hold_out=0.0):
    return list(find_photos(str(folder), split, hold_out).names)


def test_a_folder_of_tars_a_tar_and_tars_in_folders(tmp_path, told):
    tars(tmp_path, 'b.tar', 'a.TAR', 'c/d.tar', '.hidden.tar')
    assert names(tmp_path) == ['a.TAR/a.TAR.jpg', 'b.tar/b.jpg', 'c/d.tar/d.jpg']
    assert names(tmp_path / 'b.tar') == ['b.tar/b.jpg'] and not told


def test_a_tar_of_any_name(tmp_path):
    assert names(tars(tmp_path, 'photos') / 'photos') == ['photos/photos.jpg']


def test_beside_images_tars_are_passed_over_and_told(tmp_path, told):
    save_photo(tmp_path / 'x' / 'a.png')
    tars(tmp_path, 'backup.tar')
    assert names(tmp_path) == ['x/a.png']
    assert told == [
        f"{tmp_path}: files that are no images by their suffix are passed over (1): .tar 1; e.g. 'backup.tar': .tar "
        'files are read only where there are no images beside them'
    ]


def test_other_files_beside_tars_are_told(tmp_path, told):
    (tars(tmp_path, 'a.tar') / 'a.parquet').touch()
    assert names(tmp_path) == ['a.tar/a.jpg']
    assert told == [
        f"{tmp_path}: files that are no images by their suffix are passed over (1): .parquet 1; e.g. 'a.parquet'"
    ]


def test_folders_of_splits(tmp_path):
    tars(tmp_path, 'train/0.tar', 'train/1.tar', 'val/0.tar')
    assert names(tmp_path, 'train', 0.5) == ['0.tar/0.jpg', '1.tar/1.jpg'] and names(tmp_path, 'val') == ['0.tar/0.jpg']


@pytest.mark.parametrize(
    'train, val',
    [
        ('train-000000.tar', 'val-000000.tar'),
        ('imagenet_train_00.tar', 'imagenet_validation_00.tar'),
        ('Training.1.tar', 'valid.tar'),
    ],
)
def test_tars_with_the_names_of_splits(tmp_path, told, train, val):
    tars(tmp_path, train, val)
    assert names(tmp_path, 'train', 0.5) == [f'{train}/{train.removesuffix(".tar")}.jpg']
    assert names(tmp_path, 'val', 0.5) == [f'{val}/{val.removesuffix(".tar")}.jpg'] and not told


def test_tars_of_other_names_beside_those_of_splits_are_told(tmp_path, told):
    tars(tmp_path, 'train-0.tar', 'val-0.tar', 'test-0.tar', 'trainval-0.tar')
    assert names(tmp_path) == ['train-0.tar/train-0.jpg']
    assert told == [
        f'{tmp_path}: only shards that are named by train or val are read, not 2 others (test-0.tar, trainval-0.tar)'
    ]


def test_without_tars_of_validation_photos_are_held_out_of_all(tmp_path, told):
    tars(tmp_path, 'train-0.tar', 'train-1.tar', 'test-0.tar')
    assert len(names(tmp_path)) == 3
    assert told[0].startswith(f"{tmp_path}: photos in 'test-0.tar' are used for training, too: keep the shards of")


def test_held_out_photos_follow_from_the_names_of_members_and_not_of_tars(tmp_path):
    keys = [f'n{i % 3}/{i}' for i in range(40)]
    for key in keys:
        save_photo(tmp_path / 'files' / f'{key}.jpg')
    for number in range(4):
        write_tar(tmp_path / 'shards' / f'{number}.tar', samples(*keys[number::4]))
    held_out = find_photos(str(tmp_path / 'shards'), 'val', 0.2)
    assert sorted(held_out.own_names()) == sorted(find_photos(str(tmp_path / 'files'), 'val', 0.2).own_names())
    assert len(held_out) == 8 and len(find_photos(str(tmp_path / 'shards'), 'train', 0.2)) == 32


def test_photos_of_one_name_in_several_tars_are_divided_all_the_same(tmp_path):
    for number in range(10):
        write_tar(tmp_path / f'{number}.tar', samples('same'))
    train, val = (set(names(tmp_path, split, 0.3)) for split in ('train', 'val'))
    assert len(val) == 3 and len(train) == 7 and not train & val


def test_a_folder_with_compressed_tars_says_how_to_unpack_them(tmp_path, told):
    write_tar(tmp_path / 'a.tar.gz', samples('a'), mode='w:gz')
    with pytest.raises(UserError, match='no image in'):
        Photos(str(tmp_path))
    assert 'compressed tars must be plain ones, e.g. by gunzip' in told[0]
