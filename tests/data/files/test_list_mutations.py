"""Lists, trees and images changed at random are read, or refused in one line; nothing hangs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from mae_transfer.data import LabelledPhotos, Photos
from mae_transfer.data.files import photo_sources
from mae_transfer.data.photos import labelled
from mae_transfer.errors import UserError
from tests.data.files.list_mutations import mutate_image, mutate_tree, mutated_list, write_photos
from tests.helpers import save_photo

many = pytest.mark.parametrize('first, number', [(0, 200), pytest.param(1000, 5000, marks=pytest.mark.slow)])


@pytest.fixture(autouse=True)
def in_time(request, monkeypatch):
    """Fail where something hangs; log nothing."""
    for owner in (labelled, photo_sources):
        monkeypatch.setattr(owner, 'warn_once', lambda line: None)
    monkeypatch.setattr('mae_transfer.data.files.image_files.warn_once', lambda line: None)

    def stop(*_):
        raise TimeoutError('it hangs')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def outcome(build: Callable[[], object], seed: int) -> str:
    """'read', or 'refused' in one line; every other end fails."""
    try:
        data = build()
        for index in range(min(3, len(data))):
            data[index]
        assert len(data) > 0
        return 'read'
    except UserError as error:
        assert len(str(error).splitlines()) == 1
        str(error).encode()  # it can be printed
        return 'refused'
    except Exception as error:
        raise AssertionError(f'mutation {seed}: {error!r}') from error


@many
@pytest.mark.parametrize('kind', ['photos', 'labelled'])
def test_lists(kind, first, number, tmp_path):
    write_photos(tmp_path)
    file = tmp_path / 'list.txt'
    ends = []
    for seed in range(first, first + number):
        file.write_bytes(mutated_list(seed, kind == 'labelled'))
        if kind == 'photos':
            ends.append(outcome(lambda: Photos(str(file), img_size=4), seed))
        else:
            ends.append(outcome(lambda: LabelledPhotos(str(tmp_path), ann_file='list.txt', img_size=4), seed))
    assert ends.count('read') > number // 5 and ends.count('refused') > number // 20


@many
def test_trees(first, number, tmp_path):
    ends = []
    for seed in range(first, first + number):
        folder = mutate_tree(tmp_path / str(seed), seed)
        for split in ('train', 'val'):
            for kind, more in ((Photos, {}), (LabelledPhotos, dict(skip_unreadable=True))):
                ends.append(outcome(partial(kind, str(folder), split, img_size=4, **more), seed))
    assert ends.count('read') > number and ends.count('refused') > number // 20


@many
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.tif', '.gif', '.webp', '.bmp'])
def test_images(suffix, first, number, tmp_path):
    (tmp_path / 'x').mkdir()
    good = save_photo(tmp_path / f'good{suffix}', size=(12, 9)).read_bytes()
    save_photo(tmp_path / 'x/b.png', size=(12, 9))
    file: Path = tmp_path / f'x/a{suffix}'
    file.write_bytes(good)
    photos = Photos(str(tmp_path / 'x'), 'val', img_size=4, hold_out=1)
    training = LabelledPhotos(str(tmp_path), None, img_size=4, skip_unreadable=True)
    evaluation = LabelledPhotos(str(tmp_path), None, img_size=4)
    skipped = 0
    for seed in range(first, first + number // 6):
        file.write_bytes(good)
        mutate_image(file, seed)
        items = photos[0], training[0]
        assert all(item['inputs'].shape == (3, 4, 4) and item['inputs'].dtype == torch.uint8 for item in items)
        assert [len(item['skipped']) for item in items] in ([0, 0], [1, 1])
        skipped += len(items[0]['skipped'])
        assert outcome(lambda: [evaluation[0]], seed) == ('refused' if items[0]['skipped'] else 'read')
    assert 0 < skipped < number // 6
