"""Photos are written into tars as they are, or reduced; the same bytes each time."""

from __future__ import annotations

import io
import os
import tarfile

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mae_transfer.data.files import shard_writing
from mae_transfer.data.files.image_files import SUFFIXES
from mae_transfer.data.files.photo_files import ShardPhotos
from mae_transfer.data.files.shard_writing import Reduction, name_shards, sample_content, sample_names, write_shards
from mae_transfer.data.files.tar_index import key_of
from mae_transfer.errors import UserError
from tests.helpers import save_photo

NAMES = [os.fsdecode(b'n\xe9/caf\xe9.jpg'), 'n/a.jpg', 'n/b.JPEG', 'x.png', 'y/' + 'long' * 40 + '.jpg']


@pytest.fixture
def root(tmp_path):
    for seed, name in enumerate(NAMES):
        save_photo(tmp_path / 'photos' / name, seed)
    return tmp_path / 'photos'


def write(root, out, names=NAMES, **settings):
    written = write_shards(root, names, out, 'photos', **settings)
    name_shards(out, written.shards)
    return written


def contents(out):
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_photos_are_copied_byte_by_byte(root, tmp_path):
    written = write(root, tmp_path / 'out', labels=[3, 1, 4, 1, 5])
    photos = ShardPhotos.of_shards(tmp_path / 'out', written.shards, SUFFIXES)
    assert photos.own_names() == list(map(os.fsencode, NAMES)) and photos.labels == ['3', '1', '4', '1', '5']
    assert [photos.source(index) for index in range(5)] == [(root / name).read_bytes() for name in NAMES]
    assert written.photos == 5 and written.size == os.path.getsize(tmp_path / 'out' / 'photos-000000.tar')


@pytest.mark.parametrize('reduction', [None, Reduction(16)])
def test_the_bytes_do_not_depend_on_time_or_workers(root, tmp_path, reduction):
    for number, workers in enumerate((0, 1, 2)):
        for path in root.rglob('*.*'):
            os.utime(path, (number, number))
        write(root, tmp_path / f'{workers}', shard_size=10_240, workers=workers, reduction=reduction)
    assert contents(tmp_path / '0') == contents(tmp_path / '1') == contents(tmp_path / '2')


@pytest.mark.parametrize('shard_size', [1, 10_240, 20_480, 10**9])
def test_no_shard_is_larger_unless_one_photo_is(root, tmp_path, shard_size):
    written = write(root, tmp_path / 'out', shard_size=shard_size, labels=range(5))
    assert written.shards == sorted(contents(tmp_path / 'out'))
    for name in written.shards:
        with tarfile.open(tmp_path / 'out' / name) as tar:
            photos = len(tar.getnames()) // 2
        assert os.path.getsize(tmp_path / 'out' / name) <= shard_size or photos == 1
    if shard_size == 10**9:
        assert len(written.shards) == 1


def test_photos_that_cannot_be_read_are_left_out_and_named(root, tmp_path):
    (root / 'empty.jpg').touch()
    (root / 'page.jpg').write_text('<html>404</html>')
    names = ['empty.jpg', NAMES[1], 'page.jpg', 'nowhere.jpg', NAMES[3]]
    written = write(root, tmp_path / 'out', names, labels=[1, 2, 3, 4, 5])
    assert written.unreadable == [
        'empty.jpg (is empty)',
        'page.jpg (is an HTML page, saved in place of an image)',
        'nowhere.jpg (does not exist)',
    ]
    photos = ShardPhotos.of_shards(tmp_path / 'out', written.shards, SUFFIXES)
    assert photos.own_names() == [b'n/a.jpg', b'x.png'] and photos.labels == ['2', '5']
    with pytest.raises(UserError, match=r'none of the 2 photos in .* can be read: empty.jpg \(is empty\) is the first'):
        write(root, tmp_path / 'none', ['empty.jpg', 'page.jpg'])


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), KeyboardInterrupt()])
def test_nothing_is_left_when_it_ends_before_the_end(root, tmp_path, error):
    def report(done, count):
        if done == 4:
            raise error

    with pytest.raises(
        UserError if isinstance(error, OSError) else KeyboardInterrupt, match=r'cannot be written to|^$'
    ):
        write(root, tmp_path / 'out', shard_size=10_240, report=report)
    assert not contents(tmp_path / 'out')


def test_shards_have_no_names_before_all_are_complete(root, tmp_path):
    written = write_shards(root, NAMES, tmp_path / 'out', 'photos', shard_size=10_240)
    assert sorted(contents(tmp_path / 'out')) == [f'{name}.part' for name in written.shards] and len(written.shards) > 1
    name_shards(tmp_path / 'out', written.shards)
    assert sorted(contents(tmp_path / 'out')) == written.shards


# --- names ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'names, members',
    [
        (['n/a.jpg', 'n/b.PNG', 'a.jpg'], ['n/a.jpg', 'n/b.PNG', 'a.jpg']),
        (['my.photo.jpg', 'v1.0/a.jpg'], ['my_photo.jpg', 'v1.0/a.jpg']),
        (['a.jpg', 'a.png', 'a.b.jpg', 'a_2.jpg'], ['a.jpg', 'a_2.png', 'a_b.jpg', 'a_2_2.jpg']),
    ],
)
def test_a_key_is_one_photo_s(names, members):
    assert sample_names(names) == members


@given(st.lists(st.text('ab._/2', min_size=1, max_size=6).map(lambda name: f'{name}x.jpg'), unique=True, max_size=20))
def test_keys_are_always_different(names):
    members = sample_names(names)
    assert len({key_of(member) for member in members}) == len(names)
    assert all(key_of(member) + '.jpg' == member for member in members)


# --- reduced ----------------------------------------------------------------------------------------------------------
def reduced(path, short_side=16, quality=95):
    content, suffix = sample_content(path, Reduction(short_side, quality))
    return Image.open(io.BytesIO(content)), suffix


@pytest.mark.parametrize('size, wanted', [((40, 32), (20, 16)), ((32, 64), (16, 32)), ((48, 17), (45, 16))])
def test_the_shorter_side(tmp_path, size, wanted):
    image, suffix = reduced(save_photo(tmp_path / 'a.png', size=size))
    assert image.size == wanted and image.format == 'JPEG' and suffix == '.jpg'


@pytest.mark.parametrize('size', [(16, 40), (12, 9)])
def test_a_photo_that_is_small_enough_is_copied(tmp_path, size):
    path = save_photo(tmp_path / 'a.png', size=size)
    assert sample_content(path, Reduction(16)) == (path.read_bytes(), '.png')


def test_the_interpolation_is_antialiased(tmp_path):
    """Stripes of one pixel become grey, not stripes of another width."""
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    Image.fromarray(stripes).save(tmp_path / 'a.png')
    image, _ = reduced(tmp_path / 'a.png')
    assert image.mode == 'L' and np.abs(np.asarray(image).astype(int) - 127).max() < 20


@pytest.mark.parametrize('mode', ['RGBA', 'CMYK', 'P', 'LA', '1'])
def test_other_modes_become_what_the_reader_sees(tmp_path, mode):
    path = tmp_path / ('a.tif' if mode == 'CMYK' else 'a.png')
    rows, columns = np.mgrid[:40, :50].astype(np.uint8)  # smooth, as JPEG halves the resolution of colours
    pixels = np.stack([5 * columns, 6 * rows, 255 - 5 * columns], 2)
    Image.fromarray(pixels).convert(mode).save(path)
    image, _ = reduced(path, 20)
    wanted = Image.open(path).convert('RGB').resize(image.size, Image.Resampling.BICUBIC)
    assert image.mode == ('L' if mode == '1' else 'RGB')
    assert np.abs(np.asarray(image.convert('RGB'), int) - np.asarray(wanted, int)).mean() < 6


def test_the_orientation_stays_a_note(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (40, 32)).save(tmp_path / 'a.jpg', exif=exif)
    image, _ = reduced(tmp_path / 'a.jpg')
    assert image.size == (20, 16) and image.getexif()[0x0112] == 6


def test_lower_quality_takes_fewer_bytes(tmp_path):
    path = save_photo(tmp_path / 'a.png')
    assert len(sample_content(path, Reduction(16, 50))[0]) < len(sample_content(path, Reduction(16, 95))[0])


def test_what_is_no_photo_of_8_bits_is_not_reduced(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', np.zeros((40, 32), np.uint16))
    with pytest.raises(UserError, match='a.tif has 1 channel of uint16, and only photos of 8 bits are reduced: leave'):
        write_shards(tmp_path, ['a.tif'], tmp_path / 'out', 'x', reduction=Reduction(16))
    assert write_shards(tmp_path, ['a.tif'], tmp_path / 'out', 'x').photos == 1


def test_a_damaged_photo_is_left_out_where_it_is_decoded(tmp_path):
    path = save_photo(tmp_path / 'a.jpg')
    path.write_bytes(path.read_bytes()[:-400])
    save_photo(tmp_path / 'b.jpg')
    written = write_shards(tmp_path, ['a.jpg', 'b.jpg'], tmp_path / 'out', 'x', reduction=Reduction(16))
    assert written.unreadable == ['a.jpg'] and written.photos == 1


def test_memory_does_not_grow_with_the_number_of_photos(root, tmp_path, monkeypatch):
    """Of photos that are read by processes only some wait to be written."""
    monkeypatch.setattr(shard_writing, '_CHUNK', 1)
    monkeypatch.setattr(shard_writing, '_AHEAD', 2)
    written = write(root, tmp_path / 'out', NAMES * 8, workers=1)
    assert written.photos == 40 and len(written.renamed) == 35
