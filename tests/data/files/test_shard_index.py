"""The indices of tars are read once, kept in a file, and read again for a tar that has changed."""

from __future__ import annotations

import multiprocessing
import os
import shutil

import numpy as np
import pytest

from mae_transfer.data.files import shard_index
from mae_transfer.data.files.shard_index import INDEX_FILE, shard_indices
from mae_transfer.errors import UserError
from tests.data.shards import samples, write_tar

NAMES = ['a.tar', 'b.tar', 'c.tar']


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three tars: of one, two and three photos, in another order of keys; no cache but this test's."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    for count, name in enumerate(NAMES, 1):
        keys = [f'{name[0]}/{number}' for number in range(count, 0, -1)]
        write_tar(tmp_path / 'shards' / name, samples(*keys, cls=str(count).encode(), txt=b'words'))
    return tmp_path / 'shards'


@pytest.fixture
def read(monkeypatch):
    """The names of the tars that are read, and what is logged; in this process."""
    files: list[str] = []
    monkeypatch.setattr(shard_index.os, 'cpu_count', lambda: 1)
    real = shard_index.tar_index
    monkeypatch.setattr(shard_index, 'tar_index', lambda path: (files.append(path.name), real(path))[1])
    return files


@pytest.fixture
def told(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(shard_index, 'warn_once', lambda line, level=None: lines.append(line))
    return lines


def plain(indices):
    """What can be compared."""
    return [
        (list(one.names), one.offsets.tolist(), one.sizes.tolist(), list(one.labels), one.others, one.is_ended)
        for one in indices
    ]


def test_the_second_time_nothing_is_read_and_all_is_the_same(folder, read, told):
    first = plain(shard_indices(folder, NAMES))
    assert (
        read == NAMES
        and first[2][0] == ['c/3.jpg', 'c/2.jpg', 'c/1.jpg']
        and first[1][3:5] == (['2', '2'], {'.txt': 2})
    )
    assert plain(shard_indices(folder, NAMES)) == first and read == NAMES
    assert told[0].startswith(f'{folder}: 6 photos in 3 shards; where they are is read from 3 of these in 0.')
    assert told[0].endswith(f's, and kept in {folder / INDEX_FILE}')
    assert told[1:] == [f'{folder}: 6 photos in 3 shards; where they are is known from {folder / INDEX_FILE}']


@pytest.mark.parametrize('cores', [1, 2, 3])
def test_several_processes_read_the_same(folder, monkeypatch, cores):
    monkeypatch.setattr(shard_index.os, 'cpu_count', lambda: cores)
    assert [list(one.names) for one in shard_indices(folder, NAMES)][1] == ['b/2.jpg', 'b/1.jpg']


@pytest.mark.parametrize('how', ['content', 'time', 'new'])
def test_a_tar_that_changes_is_read_again_alone(folder, read, how):
    before = plain(shard_indices(folder, NAMES))
    read.clear()
    stat = os.stat(folder / 'b.tar')
    if how == 'content':  # of the same number of bytes, a second later
        write_tar(folder / 'b.tar', samples('b/4', 'b/3', cls=b'7', txt=b'words'))
        assert os.stat(folder / 'b.tar').st_size == stat.st_size
    if how != 'new':
        os.utime(folder / 'b.tar', ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    else:
        write_tar(folder / 'd.tar', samples('d'))
    names = sorted(path.name for path in folder.glob('*.tar'))
    after = plain(shard_indices(folder, names))
    assert read == ['d.tar' if how == 'new' else 'b.tar']
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1][0] == (['b/4.jpg', 'b/3.jpg'] if how == 'content' else before[1][0])


def test_one_tar_alone_leaves_what_is_known_of_the_others(folder, read):
    shard_indices(folder, NAMES)
    write_tar(folder / 'b.tar', samples('new'))
    shard_indices(folder, ['b.tar'])
    (folder / 'c.tar').unlink()
    read.clear()
    assert [list(one.names) for one in shard_indices(folder, NAMES[:2])] == [['a/1.jpg'], ['new.jpg']] and not read


def test_where_the_folder_cannot_be_written_to_the_user_s_cache_keeps_them(folder, read, told, monkeypatch):
    real = shard_index.written_whole

    def refused(path):
        if path.parent == folder:
            raise PermissionError(13, 'Permission denied')
        return real(path)

    monkeypatch.setattr(shard_index, 'written_whole', refused)
    first = plain(shard_indices(folder, NAMES))
    assert not (folder / INDEX_FILE).exists()
    assert plain(shard_indices(folder, NAMES)) == first and read == NAMES
    assert f'known from {folder.parent / "cache" / "mae_transfer" / "shards"}' in told[-1]


def test_where_nothing_can_be_written_it_is_told(folder, read, told, monkeypatch):
    def refused(path):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(shard_index, 'written_whole', refused)
    shard_indices(folder, NAMES)
    shard_indices(folder, NAMES)
    assert read == NAMES * 2 and told[-1].endswith('and cannot be kept: no folder can be written to')


@pytest.mark.parametrize('damage', ['cut', 'text', 'other', 'empty'])
def test_a_damaged_file_is_told_and_not_used(folder, read, told, damage):
    first, kept = plain(shard_indices(folder, NAMES)), folder / INDEX_FILE
    raw = kept.read_bytes()
    if damage == 'other':
        with np.load(kept) as arrays:
            np.savez(kept, **{name: arrays[name][1:] if name == 'sizes' else arrays[name] for name in arrays.files})
    else:
        kept.write_bytes({'cut': raw[: len(raw) // 2], 'text': b'no index', 'empty': b''}[damage])
    assert plain(shard_indices(folder, NAMES)) == first and read == NAMES * 2
    assert f'{kept} is damaged, and not used' in told[1]
    assert plain(shard_indices(folder, NAMES)) == first and read == NAMES * 2


def test_a_file_of_another_version_is_not_used(folder, read, monkeypatch):
    shard_indices(folder, NAMES)
    monkeypatch.setattr(shard_index, '_VERSION', 'another')
    shard_indices(folder, NAMES)
    assert read == NAMES * 2


def test_no_unfinished_file_is_left(folder):
    shard_indices(folder, NAMES)
    assert sorted(path.name for path in folder.iterdir()) == [INDEX_FILE, *NAMES]


def test_shards_that_cannot_be_used_are_named_in_one_line_and_the_others_are_kept(folder, read):
    shutil.copy(folder / 'a.tar', folder / 'd.tar')
    for name in ('a.tar', 'b.tar'):
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[:700])
    with pytest.raises(UserError, match='^2 of 4 shards cannot be used: .*a.tar is cut short, .*, .*b.tar') as caught:
        shard_indices(folder, [*NAMES, 'd.tar'])
    assert '\n' not in str(caught.value)
    read.clear()
    shard_indices(folder, ['c.tar', 'd.tar'])
    assert not read


def test_several_processes_may_begin_at_once(folder):
    """All read the tars and write the file at the same time; it is whole in the end, and nothing else is left."""
    context, count = multiprocessing.get_context('fork'), 6
    barrier, results = context.Barrier(count), context.SimpleQueue()

    def begin():
        barrier.wait()
        results.put(plain(shard_indices(folder, NAMES)))

    processes = [context.Process(target=begin) for _ in range(count)]
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    for process in processes:
        process.join()
    assert found == [plain(shard_indices(folder, NAMES))] * count
    assert sorted(path.name for path in folder.iterdir()) == [INDEX_FILE, *NAMES]
    assert set(shard_index._unpacked(folder / INDEX_FILE)) == set(NAMES)
