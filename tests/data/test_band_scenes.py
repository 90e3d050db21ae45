"""Folders of scenes of thirteen bands: their layout, the same files for the same settings, no other data touched."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from mae_transfer.data.band_scenes import main, write_band_scenes
from mae_transfer.data.files.image_reader import ImageReader
from mae_transfer.data.label_maps.labelled_scenes import LabelledScenes
from mae_transfer.data.photos.unlabelled import Photos
from mae_transfer.data.scenes.band_painting import BAND_CLASSES, BANDS, paint_band_scene

SMALL = dict(photos=2, labelled=2, val=1, size=32, seed=7)
COMMAND = [word for name, value in SMALL.items() for word in (f'--{name}', str(value))]
ALL = tuple(range(1, 14))


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp('scenes') / 'here'
    assert write_band_scenes(out, **SMALL)
    return out


def test_the_layout_is_ade20k_s(written):
    assert set(contents(written)) == {
        'scenes.json',
        *(f'photos/0000000{i}.tif' for i in range(2)),
        *(f'images/training/0000000{i}.tif' for i in range(2)),
        *(f'annotations/training/0000000{i}.png' for i in range(2)),
        *('images/validation/00000000.tif', 'annotations/validation/00000000.png'),
    }
    found = json.loads((written / 'scenes.json').read_text())
    assert found['settings'] == SMALL and found['complete'] is True
    assert tuple(found['classes']) == BAND_CLASSES and tuple(found['bands']) == BANDS


@pytest.mark.parametrize('place, folder', enumerate(('photos', 'training', 'validation')))
def test_the_files_are_the_painted_scenes(written, place, folder):
    scene = paint_band_scene(np.random.default_rng([7, place, 0]), 32)
    image = written / folder / '00000000.tif' if place == 0 else written / 'images' / folder / '00000000.tif'
    stored = tifffile.imread(image)
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored, scene.image)
    if place:
        labels = np.array(Image.open(written / 'annotations' / folder / '00000000.png'))
        np.testing.assert_array_equal(labels, scene.labels)


def test_no_scene_occurs_twice(written):
    images = [path.read_bytes() for path in written.rglob('*.tif')]
    assert len(set(images)) == len(images) == 5


def test_the_same_settings_give_the_same_files(written, tmp_path):
    assert write_band_scenes(tmp_path, **SMALL)
    assert contents(tmp_path) == contents(written)
    assert not write_band_scenes(tmp_path, **SMALL)


@pytest.mark.parametrize('bands', [ALL, (4, 3, 2)])
def test_both_kinds_of_data_sets_read_them(written, bands):
    image = tifffile.imread(written / 'images/training/00000000.tif')[..., np.array(bands) - 1]
    read = ImageReader(bands)(written / 'images/training/00000000.tif')
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, image)
    photos = Photos(str(written / 'photos'), img_size=32, bands=bands, hold_out=0.5)
    assert photos[0]['inputs'].shape == (len(bands), 32, 32)
    scenes = LabelledScenes(
        data_root=str(written),
        metainfo=dict(classes=BAND_CLASSES),
        img_suffix='.tif',
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=[dict(type='mae_transfer.LoadBands', bands=bands)],
    )
    np.testing.assert_array_equal(scenes[0]['img'], image)


def test_command_line_writes_once_then_refuses_other_settings(tmp_path, capsys):
    assert main([str(tmp_path), *COMMAND]) == 0
    assert '2 photos, 2 + 1 labelled scenes of 32 px written' in capsys.readouterr().out
    before = contents(tmp_path)
    assert main([str(tmp_path), *COMMAND]) == 0
    assert 'already written' in capsys.readouterr().out
    assert main([str(tmp_path), *COMMAND, '--val', '0']) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and 'val: found 1, requested 0' in error and '--force' in error
    assert contents(tmp_path) == before
    (tmp_path / 'images/validation/mine.tif').write_bytes(b'kept')
    assert main([str(tmp_path), *COMMAND, '--val', '0', '--force']) == 0
    assert [path.name for path in (tmp_path / 'images/validation').iterdir()] == ['mine.tif']


@pytest.mark.parametrize(
    'arguments, message',
    [(['--size', '16'], 'size is 16; it must be at least 32'), (['--labelled', '-1'], 'labelled is -1')],
)
def test_invalid_settings_are_refused_in_one_line(tmp_path, capsys, arguments, message):
    assert main([str(tmp_path / 'out'), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith('band_scenes: ') and message in error and error.count('\n') == 1
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('force', [[], ['--force']])
@pytest.mark.parametrize('folder', ['photos', 'images', 'annotations'])
def test_data_that_the_tool_did_not_write_are_never_changed(tmp_path, capsys, folder, force):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / 'real.tif').write_text('real')
    assert main([str(tmp_path), *force]) == 2
    assert f'contains {folder} but no scenes.json' in capsys.readouterr().err
    (tmp_path / 'scenes.json').write_text('{"tool": "mae_transfer.data.scenes"}')
    assert main([str(tmp_path), *force]) == 2
    assert 'was not written by mae_transfer.data.band_scenes' in capsys.readouterr().err
    assert set(contents(tmp_path)) == {f'{folder}/real.tif', 'scenes.json'}


def test_an_empty_folder_name_and_the_home_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    assert main(['']) == 2 and 'OUT is empty; give a folder to write the scenes to' in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
    assert main(['~/scenes', '--photos', '1', '--labelled', '0', '--val', '0', '--size', '32']) == 0
    assert len([*(tmp_path / 'home' / 'scenes' / 'photos').iterdir()]) == 1 and not (tmp_path / '~').exists()
