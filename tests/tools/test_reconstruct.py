"""tools/reconstruct.py: pictures of what an MAE makes of photos."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.tools.commands import CONFIG, call, imagenet_layout, small, train


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    return imagenet_layout(tmp_path_factory.mktemp('photos'))


@pytest.fixture(scope='module')
def trained(tmp_path_factory, photos):
    folder = tmp_path_factory.mktemp('trained')
    train(CONFIG, '--work-dir', folder, *small(photos))
    return folder


def height_of_picture(photos, trained, out, *options) -> int:
    ended = call('reconstruct', CONFIG, trained, out, *options, *small(photos))
    assert ended.code == 0, ended.err
    with Image.open(out) as picture:
        assert len(set(picture.convert('RGB').getdata())) > 100  # something is drawn
        return picture.height


def test_draws_a_row_for_each_held_out_photo(photos, trained, tmp_path):
    one = height_of_picture(photos, trained, tmp_path / 'one.png', '--count', 1)
    three = height_of_picture(photos, trained, tmp_path / 'three.png', '--count', 3)
    assert one >= 32 and three >= 3 * 32 and three > 2 * one


def test_draws_all_there_are_where_more_are_asked_for(photos, trained, tmp_path):
    ended = call('reconstruct', CONFIG, trained, tmp_path / 'all.png', '--count', 100, *small(photos))
    assert ended.out.splitlines()[-1] == f'7 photos drawn into {tmp_path}/all.png'


def test_draws_other_photos(photos, trained, tmp_path):
    ended = call(
        'reconstruct',
        CONFIG,
        trained,
        tmp_path / 'other.png',
        '--photos',
        photos / 'train',
        '--count',
        100,
        *small(photos),
    )
    assert ended.code == 0 and '24 photos drawn' in ended.out
