"""What a data_root may be, and which photos of it are held out."""

from __future__ import annotations

import json
import os
import tarfile
import zipfile
from zlib import crc32

import numpy as np
import pytest

from mae_transfer.data import Photos
from mae_transfer.data.files import photo_sources
from mae_transfer.errors import UserError
from tests.helpers import photo_folder, save_photo


@pytest.fixture
def told(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(photo_sources, 'warn_once', lines.append)
    return lines


def test_one_image_is_for_training_and_validation(tmp_path, told):
    save_photo(tmp_path / 'a.JPG')
    save_photo(tmp_path / 'b.jpg')
    for split in ('train', 'val'):
        photos = Photos(str(tmp_path / 'a.JPG'), split, img_size=8)
        assert photos.names == ['a.JPG'] and photos[0]['skipped'] == []
    assert told == ["'a.JPG' is the only photo: it is used for training and for validation"] * 2


def test_a_folder_with_one_photo_is_for_both(tmp_path, told):
    photo_folder(tmp_path, 1)
    assert [Photos(str(tmp_path), split).names for split in ('train', 'val')] == [['photo0.png']] * 2


def test_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    photo_folder(tmp_path / 'mine', 3)
    assert len(Photos('~/mine', hold_out=0)) == 3


def test_held_out_photos_follow_from_the_bytes_of_their_names(tmp_path):
    names = [os.fsdecode(b'caf%c%d.jpg' % (0xE0 + i, i)) for i in range(9)] + ['é.jpg', 'a.jpg', 'b.jpg']
    for name in names:
        (tmp_path / name).touch()
    held_out = Photos(str(tmp_path), 'val', hold_out=0.25).names
    lowest = sorted(names, key=lambda name: crc32(os.fsencode(name)))[:3]
    assert sorted(held_out) == sorted(lowest)
    assert not set(held_out) & set(Photos(str(tmp_path), 'train', hold_out=0.25).names)


def archive(kind):
    def make(folder):
        save_photo(folder / 'a.jpg')
        path = folder / f'photos.{kind}'
        if kind == 'zip':
            with zipfile.ZipFile(path, 'w') as file:
                file.write(folder / 'a.jpg')
        else:
            with tarfile.open(path, 'w:gz' if kind.endswith('gz') else 'w') as file:
                file.add(folder / 'a.jpg')
        return path

    return make


def written(name, content):
    def make(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def pipe(folder):
    os.mkfifo(folder / 'pipe')
    return folder / 'pipe'


@pytest.mark.parametrize(
    'make, says',
    [
        (archive('zip'), 'is an archive: unpack it, and give the folder$'),
        (
            archive('tar.gz'),
            'is an archive: unpack it, and give the folder, or make it a plain tar, which is read as it is, by gunzip ',
        ),
        (written('x.json', json.dumps(dict(images=[])).encode()), 'is a JSON file: give a folder of images, a list'),
        (written('x.heic', b'\0\0\0\x18ftypheic'), 'x.heic is not a text file: expected one path per line'),
        (written('x.npy', b'\x93NUMPY\x01\0'), 'x.npy is not a text file: expected one path per line'),
        (written('x.txt', b''), 'list file .*x.txt names no image: give one path per line, relative to'),
        (pipe, 'pipe is neither a folder nor a file: give a folder of images, a list file or an image'),
        (lambda folder: folder / 'nowhere', 'nowhere does not exist: give a folder of images, a list file or an image'),
        (lambda folder: folder / ('x' * 300), 'does not exist'),
    ],
)
def test_another_kind_of_file_is_refused_in_one_line(tmp_path, make, says):
    with pytest.raises(UserError, match=says) as caught:
        Photos(str(make(tmp_path)))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('bands', ['GREY', 'rgb', None, (0,)])
def test_unknown_bands_are_refused_at_once(tmp_path, bands):
    with pytest.raises(UserError, match=r"bands is 'RGB', 'L' \(grey\) or numbers of the file's bands"):
        Photos(str(photo_folder(tmp_path, 2)), bands=bands)


def test_arrays_are_photos_where_bands_have_numbers(tmp_path):
    for number in range(3):
        np.save(tmp_path / f'{number}.npy', np.zeros((9, 8, 5), np.uint16))
    assert Photos(str(tmp_path), hold_out=0, bands=(5, 1)).names == ['0.npy', '1.npy', '2.npy']
    with pytest.raises(UserError, match='no image in'):
        Photos(str(tmp_path), hold_out=0)
