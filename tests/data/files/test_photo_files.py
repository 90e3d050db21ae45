"""Photos in tar files are read as files are, by any number of processes, and told of in the same words."""

from __future__ import annotations

import io
import pickle
import tarfile

import numpy as np
import pytest
import tifffile

from mae_transfer.data import Photos
from mae_transfer.data.files import photo_files
from mae_transfer.data.files.image_files import SUFFIXES
from mae_transfer.data.files.photo_files import PhotoFiles, ShardPhotos
from mae_transfer.errors import UserError
from tests.data.shards import jpeg, samples, write_tar


@pytest.fixture
def told(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(photo_files, 'warn_once', lines.append)
    return lines


def three(folder, count=2, **others):
    """Three tars of photos whose content is told by their names."""
    for number in range(3):
        write_tar(folder / f'{number}.tar', samples(*(f'n/{number}{i}' for i in range(count)), **others))
    return ShardPhotos.of_shards(folder, [f'{number}.tar' for number in range(3)], SUFFIXES)


def test_names_and_contents(tmp_path, told):
    photos = three(tmp_path)
    assert photos.names == [f'{n}.tar/n/{n}{i}.jpg' for n in range(3) for i in range(2)]
    assert photos.own_names() == [f'n/{n}{i}.jpg'.encode() for n in range(3) for i in range(2)]
    assert [photos.source(index) for index in range(6)] == [jpeg(0), jpeg(1)] * 3
    assert photos.path(3) == tmp_path / '1.tar/n/11.jpg' and not told


def test_a_selection(tmp_path):
    photos = three(tmp_path, cls=b'5').select([5, 0, 2])
    assert photos.names == ['2.tar/n/21.jpg', '0.tar/n/00.jpg', '1.tar/n/10.jpg'] and photos.labels == ['5'] * 3
    assert [photos.source(index) for index in range(3)] == [jpeg(1), jpeg(0), jpeg(0)]
    assert PhotoFiles(tmp_path, ['a', 'b', 'c']).select([2, 0]).names == ['c', 'a']


def test_another_process_opens_the_files_itself(tmp_path):
    photos = three(tmp_path)
    photos.source(0)
    again = pickle.loads(pickle.dumps(photos))
    assert not again._open and again.source(5) == photos.source(5)


def test_few_files_are_open_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_files, '_MOST_OPEN', 2)
    photos = three(tmp_path)
    for index in [0, 2, 0, 4, 1, 3, 5, 0]:
        assert photos.source(index) == jpeg(index % 2) and len(photos._open) <= 2
    assert list(photos._open) == [2, 0]  # the last used


def test_only_photos_of_these_suffixes(tmp_path, told):
    write_tar(tmp_path / 'a.tar', {'a.npy': b'array', 'b.jpg': jpeg(), 'c.txt': b''})
    assert ShardPhotos.of_shards(tmp_path, ['a.tar'], SUFFIXES).names == ['a.tar/b.jpg']
    assert told == [f'{tmp_path}/a.tar: members that are no photos or labels are passed over: .npy 1, .txt 1']
    assert len(ShardPhotos.of_shards(tmp_path, ['a.tar'], (*SUFFIXES, '.npy'))) == 2


def test_no_photo_at_all_is_an_error(tmp_path):
    for name in 'ab':
        write_tar(tmp_path / f'{name}.tar', {'n01440764.tar': b'', 'c.txt': b''})
    with pytest.raises(UserError, match=f'^no image in the 2 shards in {tmp_path}: looked for .jpg, .*in them$'):
        ShardPhotos.of_shards(tmp_path, ['a.tar', 'b.tar'], SUFFIXES)


def test_a_tar_without_the_mark_of_its_end_is_told(tmp_path, told):
    path = write_tar(tmp_path / 'a.tar', {'a.jpg': b'x' * 512})
    path.write_bytes(path.read_bytes()[:1024])
    ShardPhotos.of_shards(tmp_path, ['a.tar'], SUFFIXES)
    assert told == [f"{path}: 1 end without the mark of an archive's end, e.g. a.tar: photos may be missing there"]


def test_links_and_members_of_one_name_are_told(tmp_path, told):
    path = write_tar(tmp_path / 'a.tar', {'a.jpg': b'old'})
    write_tar(path, {'a.jpg': jpeg()}, mode='a')
    with tarfile.open(path, 'a') as tar:
        link = tarfile.TarInfo('b.jpg')
        link.type, link.linkname = tarfile.SYMTYPE, 'a.jpg'
        tar.addfile(link)
    photos = ShardPhotos.of_shards(tmp_path, ['a.tar'], SUFFIXES)
    assert photos.names == ['a.tar/a.jpg'] and photos.source(0) == jpeg()
    assert told == [f'{path}: links are passed over (1)', f'{path}: of members of one name the last counts (1)']


# --- photos that cannot be read ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'content, reason',
    [
        (b'', ' (is empty)'),
        (b'<html>404</html>', ' (is an HTML page, saved in place of an image)'),
        (jpeg()[:200], ''),
        (b'damaged', ''),
    ],
)
def test_an_unreadable_photo_is_skipped_and_named(tmp_path, content, reason):
    write_tar(tmp_path / 'a.tar', samples('a', 'b') | {'x/c.jpg': content, 'd.jpg': jpeg(4)})
    photos = Photos(str(tmp_path), 'val', img_size=8, hold_out=1)
    assert photos[2]['skipped'] == [f'a.tar/x/c.jpg{reason}'] and photos[0]['skipped'] == []
    assert (photos[2, 5]['inputs'] == photos[3, 5]['inputs']).all()


def test_a_tar_that_becomes_shorter_while_it_is_used(tmp_path):
    photos = three(tmp_path)
    photos.source(0)
    raw = (tmp_path / '0.tar').read_bytes()
    (tmp_path / '0.tar').write_bytes(raw[:1000])
    with pytest.raises(OSError, match='0.tar has become shorter'):
        photos.source(1)
    assert photos.why_unreadable(1, OSError()) == '0.tar has become shorter'
    assert photos.source(2) == jpeg(0)


def test_a_tar_that_is_removed(tmp_path):
    photos = three(tmp_path)
    (tmp_path / '1.tar').unlink()
    with pytest.raises(OSError):
        photos.source(2)
    assert photos.why_unreadable(2, OSError()) == 'No such file or directory'


def test_files_with_other_values_are_refused_at_once_by_the_name_of_the_tar(tmp_path):

    content = io.BytesIO()
    tifffile.imwrite(content, np.zeros((9, 8, 4), np.uint16))
    write_tar(tmp_path / 'a.tar', {f'{i}.tif': content.getvalue() for i in range(3)})
    with pytest.raises(UserError, match=f'^{tmp_path}/a.tar/0.tif has 4 channels of uint16, but bands=.RGB. reads'):
        Photos(str(tmp_path))
    photos = Photos(str(tmp_path), 'val', img_size=8, hold_out=1, bands=(4, 1))
    assert photos[0]['inputs'].shape == (2, 8, 8)
