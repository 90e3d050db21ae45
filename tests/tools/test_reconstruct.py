"""tools/reconstruct.py: pictures of photos and their reconstructions, and what it refuses."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from tests.tools.commands import CONFIG, REPOSITORY, call, error_line, small


def picture_height(photos, trained, out, *options) -> int:
    ended = call('reconstruct', CONFIG, trained, out, *options, *small(photos))
    assert ended.code == 0, ended.err
    with Image.open(out) as picture:
        assert len(set(picture.convert('RGB').getdata())) > 100  # something is drawn
        return picture.height


def test_draws_a_row_for_each_held_out_photo(photos, trained, tmp_path):
    one = picture_height(photos, trained, tmp_path / 'one.png', '--count', 1)
    three = picture_height(photos, trained, tmp_path / 'three.png', '--count', 3)
    assert one >= 32 and three >= 3 * 32 and three > 2 * one


def test_draws_all_photos_if_there_are_fewer_than_count(photos, trained, tmp_path):
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


@pytest.mark.parametrize(
    'out, words',
    [
        ('folder', "out: '{}/folder' is a folder: name a file in it"),
        ('file/out.png', "out: the folder '{}/file' cannot be created: "),
        ('out.txt', "out: '{}/out.txt' must end in the suffix of an image format, such as .png or .jpg"),
        ('out', "out: '{}/out' must end in the suffix of an image format, such as .png or .jpg"),
        ('out.xbm', "out: '{}/out.xbm' must end in the suffix of an image format"),  # of black and white only
    ],
)
def test_an_output_that_cannot_be_written_is_refused_first(out, words, tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'file').touch()
    line = error_line(call('reconstruct', 'no_config.py', 'no.pth', tmp_path / out))
    assert line.startswith(f'error: {words.format(tmp_path)}')


def test_the_folder_of_the_output_is_created(photos, trained, tmp_path):
    assert picture_height(photos, trained, tmp_path / 'new' / 'out.png', '--count', 1) >= 32


def test_a_config_of_another_model_is_refused(tmp_path):
    config = REPOSITORY / 'configs' / 'in1k_finetune_vitb.py'
    line = error_line(call('reconstruct', config, 'no.pth', tmp_path / 'out.png'))
    assert line.endswith('in1k_finetune_vitb.py is not a pre-training config: its model is not an MAE')


@pytest.mark.parametrize('count', [0, -3])
def test_no_photos_are_refused_first(count, tmp_path):
    line = error_line(call('reconstruct', 'no_config.py', 'no.pth', tmp_path / 'out.png', '--count', count))
    assert line == f'error: --count must be 1 or more; found {count}'


def test_one_photo_of_the_home_folder_is_drawn(photos, trained, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    shutil.copy(photos / 'val' / '000.jpg', tmp_path / 'mine.jpg')
    ended = call('reconstruct', CONFIG, trained, '~/new/out.png', '--photos', '~/mine.jpg', *small(photos))
    assert ended.out.splitlines()[-1] == f'1 photos drawn into {tmp_path}/new/out.png'


def test_channels_without_their_normalisation_are_refused(photos, tmp_path):
    options = small(photos, model__vit__in_channels=4)
    line = error_line(call('reconstruct', CONFIG, 'no.pth', tmp_path / 'out.png', *options))
    assert 'model.vit.in_channels is 4, but model.data_preprocessor.mean has 3 values: set `bands`' in line
