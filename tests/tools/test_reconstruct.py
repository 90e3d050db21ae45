"""tools/reconstruct.py: pictures of photos and their reconstructions, and what it refuses."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from tests.tools.commands import CONFIG, REPOSITORY, call, error_line, small


def picture_height(photos, trained, out, *options) -> int:
    ended = call('reconstruct', CONFIG, trained, out, *options, *small(photos))
    assert ended.code == 0, ended.err
    with Image.open(out) as picture:
        assert len(set(picture.convert('RGB').getdata())) > 100  # something is drawn
        return picture.height


def test_draws_held_out_photos_two_in_a_row(photos, trained, tmp_path):
    heights = [picture_height(photos, trained, tmp_path / f'{count}.png', '--count', count) for count in (2, 3, 4, 5)]
    side = 4 * 32  # enlarged by a whole number to at least 112 pixels
    assert heights[0] >= side and [height - heights[0] for height in heights] == [0, side + 2, side + 2, 2 * (side + 2)]
    three = picture_height(photos, trained, tmp_path / 'three.png', '--count', 3, '--per-row', 3)
    assert three < heights[1]


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
        ('folder.png', "out: '{}/folder.png' is a folder: name a file in it"),
        ('file/out.png', "out: the folder '{}/file' cannot be created: "),
        ('out.txt', "out: '{}/out.txt' must end in the suffix of an image format, such as .png or .jpg"),
        ('out', "out: '{}/out' must end in the suffix of an image format, such as .png or .jpg"),
        ('out.xbm', "out: '{}/out.xbm' must end in the suffix of an image format"),  # of black and white only
    ],
)
def test_an_output_that_cannot_be_written_is_refused_first(out, words, tmp_path):
    (tmp_path / 'folder.png').mkdir()
    (tmp_path / 'file').touch()
    line = error_line(call('reconstruct', 'no_config.py', 'no.pth', tmp_path / out))
    assert line.startswith(f'error: {words.format(tmp_path)}')


def test_the_folder_of_the_output_is_created(photos, trained, tmp_path):
    assert picture_height(photos, trained, tmp_path / 'new' / 'out.png', '--count', 1) >= 32


def test_a_config_of_another_model_is_refused(tmp_path):
    config = REPOSITORY / 'configs' / 'in1k_finetune_vitb.py'
    line = error_line(call('reconstruct', config, 'no.pth', tmp_path / 'out.png'))
    assert line.endswith('in1k_finetune_vitb.py is not a pre-training config: its model is not an MAE')


def test_several_ratios_and_maskings(photos, trained, tmp_path):
    words = ('--count', 1, '--ratios', '.5,.75', '--maskings', 'random,grid', *small(photos))
    pictures = []
    for name, paste in (('pasted', '--paste'), ('predicted', '--no-paste')):
        ended = call('reconstruct', CONFIG, trained, tmp_path / f'{name}.png', paste, *words)
        assert ended.out.splitlines()[-1] == f'1 photos drawn into {tmp_path}/{name}.png', ended.err
        with Image.open(tmp_path / f'{name}.png') as picture:
            pictures.append(np.asarray(picture))
    assert pictures[0].shape == pictures[1].shape and pictures[0].shape[1] == 5 * 130 - 2
    assert not np.array_equal(*pictures)


@pytest.mark.parametrize(
    'words, line',
    [
        (['--ratios', '.5,1'], '--ratios lie strictly between 0 and 1, e.g. .75,.85,.95; found 1.0'),
        (['--ratios', 'half'], "--ratios are numbers with commas between them, e.g. .75,.85,.95; found 'half'"),
        (['--maskings', 'random,stripes'], "--maskings are of random, block, grid; found 'stripes'"),
        (['--per-row', '0'], '--per-row must be 1 or more; found 0'),
        (
            ['--per-row', '2', '--ratios', '.5'],
            '--per-row is for pictures without --ratios and --maskings, which take a row themselves',
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_first(words, line, tmp_path):
    assert error_line(call('reconstruct', 'no_config.py', 'no.pth', tmp_path / 'out.png', *words)) == f'error: {line}'


def test_a_ratio_that_leaves_no_patch_is_refused(photos, trained, tmp_path):
    words = ('--ratios', '.5,.95', *small(photos))
    line = error_line(call('reconstruct', CONFIG, trained, tmp_path / 'out.png', *words))
    assert line.startswith('error: masking.ratio 0.95 keeps 0 of 4 x 4 patches: choose a ratio') and not [
        *tmp_path.glob('*.png')
    ]


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
