"""python -m mae_transfer.data.statistics: lines for a config."""

import re
import shlex

import numpy as np
import pytest

from mae_transfer.data.files.photo_files import PhotoFiles
from mae_transfer.data.statistics import main, measure
from mae_transfer.errors import UserError
from mae_transfer.settings import read_config
from tests.data.shards import write_tar
from tests.data.written import by_opencv, npy, pillow, tiff, values
from tests.helpers import forget_instances
from tests.own_data import write_scenes
from tests.tools.commands import CONFIG


@pytest.fixture(autouse=True)
def without_a_log():
    """As in a new process."""
    forget_instances()


def printed(capsys, *arguments) -> dict:
    """The settings in the config lines of a run that must succeed, and the options after them."""
    assert main([str(argument) for argument in arguments]) == 0
    out = capsys.readouterr().out
    settings: dict = {'out': out}
    exec('\n'.join(line for line in out.splitlines() if not line.startswith('#')), settings)
    settings['options'] = shlex.split(out.splitlines()[-1].partition('--cfg-options ')[2])
    return settings


def refusal(capsys, *arguments) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    err = [line for line in lines if not re.match(r'\d+ of \d+ images', line) and ' - mmengine - ' not in line]
    assert len(err) == 1 and err[0].startswith('error: ')
    return err[0]


@pytest.mark.parametrize('channels, dtype', [(1, 'uint16'), (4, 'uint8'), (13, 'float32'), (16, 'uint16')])
def test_all_bands_of_files_that_are_no_photos(channels, dtype, capsys, tmp_path):
    arrays = [values(dtype, channels, seed=seed) for seed in range(3)]
    for i, array in enumerate(arrays):
        tiff(tmp_path / f'{i}.tif', array)
    found = printed(capsys, tmp_path)
    pixels = np.concatenate(arrays).reshape(-1, channels).astype(np.float64)
    assert found['bands'] == tuple(range(1, channels + 1))
    np.testing.assert_allclose(found['mean'], pixels.mean(0), atol=2e-5 * pixels.std(0).max())
    np.testing.assert_allclose(found['std'], pixels.std(0), rtol=2e-5)
    assert f'# measured on 3 images of {tmp_path}, {len(pixels)} pixels\n# values are {dtype}; least (' in found['out']


def test_the_lines_and_the_options_are_a_config(capsys, tmp_path):
    tiff(tmp_path / '0.tif', values('uint16', 4))
    found = printed(capsys, tmp_path, '--bands', '3,1')
    assert found['bands'] == (3, 1)
    (tmp_path / 'own.py').write_text(f"_base_ = ['{CONFIG}']\n{found['out']}")
    for cfg in (read_config(CONFIG, found['options']), read_config(tmp_path / 'own.py', [])):
        assert cfg.train_dataloader.dataset.bands == (3, 1) and cfg.model.vit.in_channels == 2
        assert cfg.model.data_preprocessor.mean == found['mean'] and cfg.model.data_preprocessor.std == found['std']


def test_one_band_as_options(capsys, tmp_path):
    tiff(tmp_path / '0.tif', values('uint16', 4))
    options = printed(capsys, tmp_path, '--bands', '2')['options']
    cfg = read_config(CONFIG, options)
    assert cfg.model.vit.in_channels == 1 and len(cfg.model.data_preprocessor.mean) == 1


@pytest.mark.parametrize('mode, suffix', [('RGB', 'jpg'), ('L', 'png'), ('P', 'png')])
def test_photos_are_measured_as_rgb(mode, suffix, capsys, tmp_path):
    pillow(tmp_path / f'0.{suffix}', values('uint8', 3), mode)
    pillow(tmp_path / '1.png', values('uint8', 3), 'RGBA')
    found = printed(capsys, tmp_path)
    assert found['bands'] == 'RGB' and len(found['mean']) == 3 and found['options'][0] == 'bands=RGB'


def test_one_grey_channel(capsys, tmp_path):
    pillow(tmp_path / '0.jpg', values('uint8', 3), 'RGB')
    assert printed(capsys, tmp_path, '--bands', 'L')['bands'] == 'L'


def test_a_folder_with_splits_stands_for_its_training_images(capsys, tmp_path):
    for split, value in (('train', 10), ('val', 200)):
        (tmp_path / split / 'a').mkdir(parents=True)
        npy(tmp_path / split / 'a' / '0.npy', np.arange(value, value + 4, dtype=np.uint16).reshape(2, 2, 1))
    assert printed(capsys, tmp_path)['mean'] == (11.5,)


def test_a_list_file_and_an_evenly_spaced_sample(capsys, tmp_path):
    for i in range(9):
        npy(tmp_path / f'{i}.npy', np.array([[[i * 10]], [[i * 10 + 2]]], np.uint16))
    (tmp_path / 'list.txt').write_text('\n'.join(f'{i}.npy' for i in range(9)))
    found = printed(capsys, tmp_path / 'list.txt', '--count', 3)
    assert found['mean'] == (41.0,) and '# measured on 3 images' in found['out']
    assert '# measured on 9 images' in printed(capsys, tmp_path, '--count', 99)['out']


def test_unreadable_files_are_counted(capsys, tmp_path):
    tiff(tmp_path / '0.tif', values('uint16', 2))
    (tmp_path / '1.tif').write_bytes(b'II*\0damaged')
    assert f'342 pixels; 1 cannot be read: {tmp_path}/1.tif' in printed(capsys, tmp_path)['out']


def test_refusals(capsys, tmp_path):
    assert 'does not exist' in refusal(capsys, tmp_path / 'no')
    (tmp_path / 'a').mkdir()
    assert 'no image in' in refusal(capsys, tmp_path / 'a')
    first = tiff(tmp_path / 'a' / '0.tif', values('uint16', 4))
    assert refusal(capsys, tmp_path / 'a', '--bands', '1,9') == (
        f'error: {first} has 4 channels of uint16, but bands=(1, 9) names band 9: bands count from 1'
    )
    assert "bands='RGB' reads 8-bit" in refusal(capsys, tmp_path / 'a', '--bands', 'RGB')
    assert "bands is 'RGB', 'L' (grey) or numbers" in refusal(capsys, tmp_path / 'a', '--bands', 'rgb')
    assert '--count is a number of images, 1 or more; found 0' in refusal(capsys, tmp_path / 'a', '--count', 0)
    second = tiff(tmp_path / 'a' / '1.tif', values('uint16', 5))
    assert refusal(capsys, tmp_path / 'a') == (
        f'error: {second} has 5 channels of uint16, but other files have 4: name the bands by --bands'
    )
    assert main([str(tmp_path / 'a'), '--bands', '1,2,3,4']) == 0
    capsys.readouterr()
    tiff(second, values('float32', 4))
    assert 'has values of float32, but other files have uint16' in refusal(capsys, tmp_path / 'a')
    second.unlink()
    constant = values('uint16', 4)
    constant[..., 2] = 7
    tiff(first, constant)
    assert refusal(capsys, tmp_path / 'a') == (
        'error: band 3 has one value everywhere in 1 images, and normalisation would divide by the deviation, 0: leave '
        'it out, by --bands 1,2,4'
    )
    assert main([str(tmp_path / 'a'), '--bands', '1,2,4']) == 0
    capsys.readouterr()
    first.write_bytes(b'damaged')
    assert refusal(capsys, tmp_path / 'a') == f'error: none of 1 images can be read: {first} is the first'


def test_a_file_that_is_not_examined_at_start(tmp_path):
    paths = [npy(tmp_path / f'{i:02}.npy', values('uint16', 2)) for i in range(20)]
    by_opencv(tmp_path / '02.png', values('uint8', 1))
    paths[2] = tmp_path / '02.png'
    with pytest.raises(UserError, match=f'^{paths[2]} has 1 channel of uint8, but other files have 2'):
        measure(PhotoFiles(tmp_path, [path.name for path in paths]))


def test_shards_are_measured_as_the_files_in_them(capsys, tmp_path):
    (tmp_path / 'files').mkdir()
    paths = [npy(tmp_path / 'files' / f'{i}.npy', values('uint16', 3, seed=i)) for i in range(4)]
    write_tar(tmp_path / 'shards' / 'a.tar', {path.name: path.read_bytes() for path in paths})
    files, shards = (printed(capsys, tmp_path / name) for name in ('files', 'shards'))
    assert (shards['mean'], shards['std'], shards['bands']) == (files['mean'], files['std'], (1, 2, 3))


def test_label_maps_are_not_measured(capsys, tmp_path):
    write_scenes(tmp_path)
    assert refusal(capsys, tmp_path) == (
        f'error: {tmp_path}: 5 of 10 images are in annotations/, where label maps are, by the names of the folders: '
        f'give the folder of the photos alone, {tmp_path}/images'
    )
    assert '# measured on 3 images' in printed(capsys, tmp_path / 'images')['out']


@pytest.mark.parametrize('bands', [1, 4])
def test_images_that_are_constant_in_all_bands(bands, capsys, tmp_path):
    tiff(tmp_path / '0.tif', np.full((3, 4, bands), 7, 'uint16'))
    assert refusal(capsys, tmp_path).endswith(
        'one value everywhere in 1 images, and normalisation would divide by the deviation, 0: there is nothing to '
        'learn from these images'
    )
