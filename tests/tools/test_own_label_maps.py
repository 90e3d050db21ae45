"""Label maps of other tools: what ends a run says what to set, and the run works when it is set."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from tests.own_data import write_scenes
from tests.tools.commands import call, error_line, train
from tests.tools.test_own_data import CONFIGS, options

CONFIG = CONFIGS['scenes']


@pytest.fixture
def scenes(tmp_path):
    return write_scenes(tmp_path / 'data')


def repaint(root, change):
    """Change the numbers of every label map."""
    for file in (root / 'annotations').rglob('*.png'):
        Image.fromarray(change(np.array(Image.open(file)).astype(int)).astype(np.uint8)).save(file)


def refused(root, tmp_path, *settings, classes='background,crack'):
    return error_line(
        call('train', CONFIG, '--work-dir', tmp_path / 'refused', *options('scenes', root, classes, *settings))
    )


def trained(root, tmp_path, *settings, classes='background,crack'):
    return train(CONFIG, '--work-dir', tmp_path / 'run', *options('scenes', root, classes, *settings)).out


@pytest.mark.parametrize('zero_is_none', ['True', 'False'])
def test_masks_of_0_and_255(zero_is_none, scenes, tmp_path):
    repaint(scenes, lambda numbers: 255 * (numbers > 0))
    line = refused(scenes, tmp_path, f'reduce_zero_label={zero_is_none}')
    assert 'all 3 label maps contain only 0 and 255' in line
    advised = re.search(r'set (label_values=\S+);', line)[1]
    out = trained(scenes, tmp_path, advised)
    assert '100 % of the pixels of all 3 label maps are labelled, with 2 of 2 classes' in out
    assert float(re.findall(r'mIoU: ([\d.]+)', out)[-1]) < 100


@pytest.mark.parametrize('mask', [255, 1])
def test_a_single_class(mask, scenes, tmp_path):
    repaint(scenes, lambda numbers: mask * (numbers > 0))
    line = refused(scenes, tmp_path, classes='crack')
    assert line.startswith("error: model.decode_head takes a softmax over one output: 'crack' is the only class")
    advised = re.search(r'too, classes=(\S+), with (\S+) if .*, or (\S+) if', line).groups()
    out = trained(scenes, tmp_path, advised[2] if mask == 255 else advised[1], classes=advised[0])
    assert 'are labelled, with 2 of 2 classes' in out


def test_numbers_from_0_where_0_is_ignored(scenes, tmp_path):
    repaint(scenes, lambda numbers: numbers > 0)
    line = refused(scenes, tmp_path)
    assert "all 3 label maps contain no class but 'background', so that there is nothing to tell apart" in line
    advised = re.search(r'if 0 is the first class, set (\S+)$', line)[1]
    assert 'are labelled, with 2 of 2 classes' in trained(scenes, tmp_path, advised)


def test_one_output_for_two_classes(scenes, tmp_path):
    """MMSegmentation's binary mode: a probability that is compared with a threshold."""
    repaint(scenes, lambda numbers: numbers > 0)
    one = ['reduce_zero_label=False', *(f'model.{head}.out_channels=1' for head in ('decode_head', 'auxiliary_head'))]
    line = refused(scenes, tmp_path, *one)
    assert line.startswith('error: model.decode_head takes a softmax over one output (out_channels=1)')
    sigmoid = [f'model.{head}.loss_decode.use_sigmoid=True' for head in ('decode_head', 'auxiliary_head')]
    assert 'mIoU: ' in trained(scenes, tmp_path, *one, *sigmoid)


def test_images_without_label_maps_are_predicted(scenes, tmp_path):
    trained(scenes, tmp_path, classes='road,field')
    for file in (scenes / 'annotations/validation').iterdir():
        file.unlink()
    (scenes / 'annotations/validation').rmdir()
    test = ('test', CONFIG, tmp_path / 'run', '--work-dir', tmp_path / 'test')
    line = error_line(call(*test, *options('scenes', scenes)))
    advised = re.search(r'to predict images that have no label maps, set (.*)', line)[1].split()
    assert advised[1] == 'test_evaluator.format_only=True'
    settings = [setting.replace('FOLDER', str(tmp_path / 'predicted')) for setting in advised]
    for more in ([], ['--tta']):
        ended = call(*test, *more, *options('scenes', scenes, None, *settings, 'tta.scales=(1.,)'))
        assert ended.code == 0, ended.err
        files = sorted((tmp_path / 'predicted').iterdir())
        assert [file.name for file in files] == ['0.png', '1.png']
        found = [np.unique(Image.open(file)).tolist() for file in files]
        assert all(set(numbers) <= {1, 2} for numbers in found), 'as ADE20K numbers its classes'
        for file in files:
            file.unlink()
    ended = call(*test, '--show-dir', tmp_path / 'drawn', *options('scenes', scenes, None, *settings))
    assert ended.code == 0 and len(list((tmp_path / 'drawn').rglob('*.png'))) == 2, ended.err
    line = error_line(call(*test, *options('scenes', scenes, None, advised[0])))
    assert 'has no label map, without which there is no mIoU: to write predictions only' in line


def test_an_empty_folder(scenes, tmp_path):
    for file in (scenes / 'images/validation').iterdir():
        file.unlink()
    line = refused(scenes, tmp_path, classes='road,field')
    advised = re.search(r'images/validation is empty: fill it, or name another by (\S+)=FOLDER', line)[1]
    settings = [f'{advised}=images/training', f'{advised.replace("img", "seg_map")}=annotations/training']
    assert 'mIoU: ' in trained(scenes, tmp_path, *settings, classes='road,field')


def test_validation_that_lacks_a_class(scenes, tmp_path):
    for file in (scenes / 'annotations/validation').iterdir():
        Image.fromarray(np.minimum(np.array(Image.open(file)), 1)).save(file)
    out = trained(scenes, tmp_path, classes='road,field')
    assert 'annotations/validation: 1 of 2 classes have no pixel in the 2 label maps: field' in out
    assert '1 of 2 classes have no pixel in the evaluated label maps: field' in out


def test_settings_reach_all_data_sets(scenes, tmp_path):
    for file in (scenes / 'annotations').rglob('*.png'):
        file.rename(file.with_name(f'{file.stem}_mask.PNG'))
    line = refused(scenes, tmp_path, classes='road,field')
    advised = re.search(r'set (seg_map_suffix=\S+)', line)[1]
    assert 'mIoU: ' in trained(scenes, tmp_path, advised, classes='road,field')


@pytest.mark.parametrize('turns', ['True', 'False'])
def test_label_maps_that_fit_the_other_exif_orientation(turns, scenes, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in (scenes / 'images').rglob('*.jpg'):
        image = Image.open(file)
        # The label maps have the size of the image as it is stored, or as it is shown.
        image = image if turns == 'True' else image.rotate(90, expand=True)
        image.save(file, exif=exif)
    line = refused(scenes, tmp_path, f'exif_orientation={turns}', classes='road,field')
    advised = re.search(r'EXIF orientation is 6: read images so, (exif_orientation=\S+), or turn the label map$', line)[
        1
    ]
    assert 'mIoU: ' in trained(scenes, tmp_path, advised, classes='road,field')
