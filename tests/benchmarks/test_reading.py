"""From JPEG files to crops: our loader as the config has it, next to torchvision's."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from mae_transfer.benchmarks import reading
from mae_transfer.benchmarks.reading import loaders, one_pass, table, write_photos
from mae_transfer.errors import UserError
from tests.tools import commands
from tests.tools.commands import call, error_line


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp('reading')
    write_photos(folder / 'all', 12)
    return folder


def test_photos_are_made_up_or_resized(photos, tmp_path):
    source = commands.write_photos(tmp_path / 'own', 2)
    write_photos(tmp_path / 'resized' / 'all', 3, source)
    for files in (photos, tmp_path / 'resized'):
        for file in files.rglob('*.jpg'):
            with Image.open(file) as photo:
                assert photo.size == (500, 375) and photo.mode == 'RGB' and photo.format == 'JPEG'
    own = [file.read_bytes() for file in sorted((tmp_path / 'resized').rglob('*.jpg'))]
    assert own[0] == own[2] != own[1]  # repeated
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='--images: no image in'):
        write_photos(tmp_path / 'none', 1, tmp_path / 'empty')


def test_each_row_gives_crops_of_the_same_size(photos):
    rows = loaders(list(reading.PEER_ROWS), photos, batch=4, workers=0, size=32)
    kinds = {}
    for name, loader in rows.items():
        seconds, count, crops = one_pass(loader)
        assert seconds > 0 and count in (8, 12) and crops.shape == (4, 3, 32, 32)
        kinds[name] = (crops.dtype, crops.min() < 0)
    assert kinds['ours'] == kinds['pil_torchvision_uint8'] == (torch.uint8, False)
    assert kinds['pil_torchvision'] == (torch.float32, True)  # normalised


def test_a_row_is_a_change_of_the_config(photos, monkeypatch):
    monkeypatch.setitem(reading.OUR_ROWS, 'ours, centre', lambda _: [('train_dataloader.dataset.augment', 'none')])
    rows = loaders([], photos, batch=4, workers=0, size=32)
    crops = {name: [loader.dataset[0, seed]['inputs'] for seed in (1, 2)] for name, loader in rows.items()}
    assert list(rows) == ['ours', 'ours_4_crops', 'ours_shards', 'ours, centre']
    assert [torch.equal(*pair) for pair in crops.values()] == [False, False, False, True]
    assert all(map(torch.equal, crops['ours'], crops['ours_shards']))


def test_crops_are_counted_where_a_photo_gives_several():
    batch = dict(inputs=torch.zeros(2, 4, 3, 8, 8))
    assert one_pass([batch, batch])[1] == 16


def test_the_table_compares_rows_of_the_same_workers():
    rows = [
        dict(row='ours', workers=0, gives='x', seconds=[0.1, 0.1]),
        dict(row='peer', workers=0, gives='y', seconds=[0.2, 0.3]),
        dict(row='ours', workers=1, gives='x', seconds=[0.05]),
        dict(row='peer', workers=1, gives='y', seconds=[0.04]),
    ]
    assert table(rows).splitlines()[2:] == [
        '| ours | 0 | x | 10 |  |',
        '| peer | 0 | y | 4 | 2.50 (2.00 to 3.00) |',
        '| ours | 1 | x | 20 |  |',
        '| peer | 1 | y | 25 | 0.80 (0.80 to 0.80) |',
    ]


def test_the_tool_measures_every_row_with_and_without_workers(tmp_path):
    options = ('--photos', 8, '--batch', 4, '--size', 32, '--rounds', 2, '--workers', 0, 1)
    ended = call('benchmark', 'data', *options, '--json', tmp_path / 'new' / 'data.json')
    assert ended.code == 0, ended.err
    rows = json.loads((tmp_path / 'new' / 'data.json').read_text())['rows']
    names = ['ours', 'ours_4_crops', 'ours_shards', 'pil_torchvision', 'pil_torchvision_uint8']
    assert [(row['row'], row['workers']) for row in rows] == [(name, n) for n in (0, 1) for name in names]
    assert all(len(row['seconds']) == 2 and min(row['seconds']) > 0 for row in rows)
    assert ended.out.count('float32, 3 x 32 x 32') == 2 and '8 made-up pictures of 500 x 375' in ended.out


@pytest.mark.parametrize(
    'options, words',
    [
        (['--photos', 20], '--photos must be two batches or more, 32; found 20'),
        (['--rounds', 0], '--batch, --rounds and --size must be 1 or more'),
        (['--images', '/nowhere'], '--images: no folder /nowhere'),
    ],
)
def test_impossible_options_are_reported_in_one_line(options, words):
    assert words in error_line(call('benchmark', 'data', *options))
