"""Where photos and labels are in tar files, and which tars are refused."""

from __future__ import annotations

import gzip
import json
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.data.files.tar_index import AGAIN, LINKS, is_tar, key_of, tar_index
from mae_transfer.errors import UserError
from tests.data.shards import jpeg, samples, write_tar


def contents(path):
    """{name: content} of the photos, by the index."""
    index, raw = tar_index(path), path.read_bytes()
    return {
        name: raw[offset : offset + size]
        for name, offset, size in zip(index.names, index.offsets.tolist(), index.sizes.tolist())
    }


NAMES = st.text('abcé /_-0.', min_size=1, max_size=130).map(lambda name: f'{name.strip("/. ")}x')


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=1500), max_size=8), st.sampled_from([0, 1, 2]))
def test_the_content_of_each_member_is_at_its_place(tmp_path_factory, members, form):
    """Names of any length, in the three formats that Python writes."""
    form = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)[form]
    photos = {f'{key_of(name)}.jpg': content for name, content in members.items() if '//' not in name}
    photos = {name: content for name, content in photos.items() if not any(p[:1] == '.' for p in name.split('/'))}
    if form == tarfile.USTAR_FORMAT:
        photos = {name: content for name, content in photos.items() if len(name.encode()) < 99}
    path = write_tar(tmp_path_factory.mktemp('tar') / 'a.tar', photos, format=form)
    assert contents(path) == photos


def test_names_that_are_not_utf_8(tmp_path):
    name = os.fsdecode(b'caf\xe9.jpg')
    assert contents(write_tar(tmp_path / 'a.tar', {name: b'x'}, format=tarfile.GNU_FORMAT)) == {name: b'x'}


@pytest.mark.parametrize(
    'name, key', [('a.jpg', 'a'), ('b/a.seg.png', 'b/a'), ('b.c/a', 'b.c/a'), ('b.c/a.x.y', 'b.c/a')]
)
def test_a_key_ends_at_the_first_dot_of_the_last_part(name, key):
    assert key_of(name) == key


@pytest.mark.parametrize(
    'others, label',
    [
        ({'cls': b'7'}, '7'),
        ({'cls': b' dog\n'}, 'dog'),
        ({'json': json.dumps(dict(label=3, caption='x')).encode()}, '3'),
        ({'json': b'{"cls": 4, "label": 5}'}, '4'),
        ({'json': b'12'}, '12'),
        ({'cls': b'7', 'json': b'{"label": 3}'}, '7'),
        ({'json': b'{"caption": "a dog"}'}, ''),
        ({'json': b'{"label": [1, 2]}'}, ''),
        ({'json': b'{"label": true}'}, ''),
        ({'json': b'no JSON'}, ''),
        ({'txt': b'7'}, ''),
    ],
)
@pytest.mark.parametrize('first', [True, False])
def test_the_label_of_a_photo(tmp_path, others, label, first):
    members = samples('n01/a', **others)
    members = members if first else dict(reversed(members.items()))
    assert list(tar_index(write_tar(tmp_path / 'a.tar', members)).labels) == [label]


def test_what_is_no_photo_is_counted_and_hidden_files_are_not(tmp_path):
    members = samples('a', txt=b'x', **{'seg.png': b'mask', 'npy': b'features'})
    members |= {'._a.jpg': b'', '.git/b.jpg': b'', '__MACOSX/c.jpg': b'', 'README': b''}
    index = tar_index(write_tar(tmp_path / 'a.tar', members))
    assert list(index.names) == ['a.jpg']
    assert index.others == {'.txt': 1, '.png': 1, '.npy': 1, '': 1}


def test_without_an_image_of_its_own_name_a_photo_may_have_dots(tmp_path):
    members = {'my.photo.jpg': b'1', 'x.npy': b'2'}
    assert list(tar_index(write_tar(tmp_path / 'a.tar', members)).names) == ['my.photo.jpg', 'x.npy']


def test_a_leading_dot_and_slash_is_no_part_of_a_name(tmp_path):
    assert list(tar_index(write_tar(tmp_path / 'a.tar', {'./n/a.jpg': b''})).names) == ['n/a.jpg']


def test_of_members_of_one_name_the_last_counts(tmp_path):
    path = write_tar(tmp_path / 'a.tar', {'a.jpg': b'old', 'b.jpg': b'b'})
    write_tar(path, {'a.jpg': b'new'}, mode='a')
    assert contents(path) == {'a.jpg': b'new', 'b.jpg': b'b'}
    assert tar_index(path).others == {AGAIN: 1}


def test_links_are_passed_over(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(jpeg())
    os.link(tmp_path / 'a.jpg', tmp_path / 'b.jpg')
    with tarfile.open(tmp_path / 'a.tar', 'w') as tar:
        tar.add(tmp_path / 'a.jpg', 'a.jpg')
        tar.add(tmp_path / 'b.jpg', 'b.jpg')
    index = tar_index(tmp_path / 'a.tar')
    assert list(index.names) == ['a.jpg'] and index.others == {LINKS: 1}


def test_several_images_for_one_sample_are_refused(tmp_path):
    path = write_tar(tmp_path / 'a.tar', {'a.jpg': b'', 'a.png': b''})
    with pytest.raises(UserError, match=r"a.tar has several images for one sample, 'a.jpg' and 'a.png': keep one, or"):
        tar_index(path)


# --- damage -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def whole(tmp_path):
    return write_tar(tmp_path / 'a.tar', samples(*'abc', cls=b'1'))


def test_a_tar_is_cut_short_anywhere(whole):
    """Every cut is an error, or, between two members, a note: the mark of the end is missing."""
    raw, index = whole.read_bytes(), tar_index(whole)
    assert index.is_ended and len(index.names) == 3
    with tarfile.open(whole) as tar:
        begins = {member.offset for member in tar}
        end = tar.offset
    for length in [*range(512, end, 512), *range(300, end, 997)]:
        whole.write_bytes(raw[:length])
        if length in begins:
            assert not tar_index(whole).is_ended
        else:
            with pytest.raises(
                UserError, match=r'^.*a.tar (is cut short|is damaged|is no tar file \(truncated)'
            ) as caught:
                tar_index(whole)
            assert '\n' not in str(caught.value)


def test_a_damaged_header_does_not_end_the_photos_without_a_word(whole):
    raw = bytearray(whole.read_bytes())
    with tarfile.open(whole) as tar:
        second = tar.getmembers()[2].offset
    raw[second + 150] ^= 0xFF
    whole.write_bytes(raw)
    with pytest.raises(UserError, match=rf'is damaged at byte {second}, where a member should begin: copy it again$'):
        tar_index(whole)


@pytest.mark.parametrize('form', [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_whatever_bytes_change_it_is_read_or_refused_in_one_line(tmp_path, form):
    """Headers and long names, numbers in base 256 among them."""
    path = write_tar(tmp_path / 'a.tar', {f'{"long" * 30}é.jpg': b'1', 'b.jpg': b'2', 'b.cls': b'1'}, format=form)
    raw, rng = path.read_bytes(), np.random.default_rng(0)
    with tarfile.open(path) as tar:
        end = tar.getmembers()[-1].offset + 1024
    refused = 0
    for _ in range(300):
        changed = bytearray(raw)
        for place in rng.integers(0, end, rng.integers(1, 4)):
            changed[place] = rng.choice([0, 0x30, 0x80, 0xFF, rng.integers(256)])
        begin = rng.integers(0, end // 512) * 512
        if rng.random() < 0.7:  # so that the header is believed
            header = changed[begin : begin + 512]
            header[148:156] = b' ' * 8
            changed[begin + 148 : begin + 156] = b'%06o\0 ' % sum(header)
        path.write_bytes(changed)
        try:
            tar_index(path)
        except UserError as error:
            refused += 1
            assert '\n' not in str(error)
    assert refused > 50


def test_a_member_of_negative_size_does_not_go_round_in_a_circle(whole):
    raw = bytearray(whole.read_bytes())
    with tarfile.open(whole) as tar:
        begin = tar.getmembers()[1].offset
    raw[begin + 124 : begin + 136] = tarfile.itn(-1024, 12, tarfile.GNU_FORMAT)
    raw[begin + 148 : begin + 156] = b' ' * 8
    raw[begin + 148 : begin + 156] = b'%06o\0 ' % sum(raw[begin : begin + 512])
    whole.write_bytes(raw)
    with pytest.raises(UserError, match='is damaged'):
        tar_index(whole)


def test_tars_that_were_joined_by_cat_are_refused(whole):
    whole.write_bytes(whole.read_bytes() * 2)
    with pytest.raises(UserError, match='goes on for .* bytes behind its end, as tars do that were joined by cat'):
        tar_index(whole)


@pytest.mark.parametrize(
    'content, says',
    [
        (b'', 'is no tar file'),
        (b'no tar' * 200, 'is no tar file'),
        (
            gzip.compress(b'x' * 2000, mtime=0),
            'is compressed: unpack it, and give the folder, or make it a plain tar, .*gunzip',
        ),
    ],
)
def test_other_files_of_the_name_are_refused(tmp_path, content, says):
    (tmp_path / 'a.tar').write_bytes(content)
    with pytest.raises(UserError, match=f'a.tar {says}'):
        tar_index(tmp_path / 'a.tar')


def test_a_tar_is_told_by_its_first_bytes(tmp_path):
    path = write_tar(tmp_path / 'photos', {'a.jpg': b''})
    assert is_tar(path) and not is_tar(write_tar(tmp_path / 'b.tar.gz', {'a.jpg': b''}, mode='w:gz'))
