"""Odd data, settings and arguments, after public reports: they are read right, or told in one line before a step."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from mae_transfer.data.files.image_files import images_below
from tests.tools.classification import FASTPROBE, FINETUNE, KNN, class_options, feature_options, write_classes
from tests.tools.commands import CONFIG, REPOSITORY, call, error_line, small, train, write_photos


def test_pictures_of_a_run_among_the_photos_do_not_become_photos(tmp_path):
    photos = write_photos(tmp_path / 'p', 16)
    ended = train(CONFIG, '--work-dir', photos / 'runs' / 'a', *small(photos))
    assert f'{photos}: work_dirs of runs are passed over (1): {photos}/runs/a' in ended.out
    assert list((photos / 'runs').rglob('*.png')) and len(images_below(photos)) == 16
    line = error_line(call('train', CONFIG, '--work-dir', photos, *small(photos)))
    assert 'is the data root, where its pictures would count as photos: choose another' in line


@pytest.mark.parametrize(
    'data_root, says',
    [
        ('https://a.org/x.zip', 'data_root is a path on this machine, but'),
        ('$DATA/x', 'variables such as $HOME are expanded by the shell alone'),
        ('p/*.jpg', 'patterns are not expanded: give the folder'),
        ('[[p],[p]]', "data_root is a path, e.g. data_root=path/to/data; found ['p']"),
        ("{'a':1}", 'data_root is a path'),
    ],
)
def test_data_roots_that_are_none(tmp_path, monkeypatch, data_root, says):
    monkeypatch.chdir(tmp_path)
    assert says in error_line(call('train', CONFIG, *small(data_root)))


@pytest.mark.parametrize(
    'setting, value',
    [
        *((('scale', value)) for value in ('(1,.2)', '.5', '(-1,1)', '(.2,2)', '(0,1)')),
        *((('color_jitter', value)) for value in ('.4', '(.4,.4,.4,2)', '(-1,.4,.4,.1)')),
        ('max_pixels', 'True'),
    ],
)
def test_impossible_settings_of_photos(photos, tmp_path, setting, value):
    options = [*small(photos), f'train_dataloader.dataset.{setting}={value}']
    assert f'error: {setting} is' in error_line(call('train', CONFIG, '--work-dir', tmp_path, *options))


@pytest.mark.parametrize(
    'option, says',
    [
        ('train_dataloader.batch_size=True', 'is a whole number of images'),
        ('repeat=True', 'is a whole number of passes'),
        ('randomness.seed=-1', 'randomness.seed is a whole number from 0 to 4294967295'),
        ('randomness.seed=x', 'randomness.seed is a whole number'),
        ('model.masking.ratio=x', 'masking.ratio must lie strictly between 0 and 1; found x'),
    ],
)
def test_numbers_that_are_none(photos, tmp_path, option, says):
    assert says in error_line(call('train', CONFIG, '--work-dir', tmp_path, *small(photos), option))


@pytest.mark.parametrize(
    'name, content, says',
    [
        ('a.pth', '', 'is no config (.py, .json or .yaml): the config is the first argument'),
        ('a.json', '{}', 'is no config of a run, as it has no model, train_dataloader: start from configs/'),
        ('a.json', '[1]', 'a.json: '),
        ('a.py', '', 'is no config of a run, as it has no model'),
        ('a.py', 'a = b', "NameError: name 'b' is not defined"),
        ('a.py', 'a = 1 / 0', 'ZeroDivisionError: division by zero'),
        ('a.py', "_base_ = 'a.py'", '_base_ leads round in a circle'),
    ],
)
def test_configs_that_are_none(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    assert says in error_line(call('train', tmp_path / name))


def test_a_folder_in_place_of_a_config():
    assert 'is a folder: name a file' in error_line(call('train', REPOSITORY / 'configs'))


@pytest.mark.parametrize('arguments', [['--configs', '{', '--seeds', '0'], ['--configs', '{}', '--seeds', '0', '0']])
def test_arguments_of_read_vit(tmp_path, arguments):
    assert error_line(call('read_vit', 'none', *arguments, '--work-dir', tmp_path))


def test_reconstruct_leaves_unreadable_photos_out(trained, photos, tmp_path):
    folder = write_photos(tmp_path / 'p', 3)
    (folder / '001.jpg').write_bytes(b'')
    arguments = [CONFIG, trained, tmp_path / 'o.png', '--work-dir', tmp_path, '--photos', folder, *small(photos)]
    ended = call('reconstruct', *arguments)
    assert ended.code == 0 and '2 photos drawn' in ended.out
    assert 'unreadable photos were left out (1): 001.jpg (is empty)' in ended.out
    arguments[6] = ''
    assert "--photos: '' does not exist" in error_line(call('reconstruct', *arguments))


# Classification


def test_the_advice_to_evaluate_on_test_works(tmp_path):
    for split, seed in (('train', 0), ('test', 1)):
        write_classes(tmp_path / split, dict(blue=8, green=8, red=8), seed)
    options = class_options(tmp_path)
    line = error_line(call('train', FINETUNE, '--work-dir', tmp_path / 'w', *options))
    advice = line.partition(', set ')[2].split()
    assert advice == ['val_dataloader.dataset.split=test', 'test_dataloader.dataset.split=test']
    train(FINETUNE, '--work-dir', tmp_path / 'w', *options, *advice)


@pytest.mark.parametrize('nested', [False, True])
def test_one_class_is_refused(tmp_path, nested):
    for split in ('train', 'val'):
        write_classes(
            tmp_path / split / ('images' if nested else ''), dict(blue=8, red=8) if nested else dict(blue=8), 0
        )
    line = error_line(
        call('train', FINETUNE, '--work-dir', tmp_path / 'w', *class_options(tmp_path, model__num_classes=1))
    )
    assert 'all images are of one class' in line and ('if its 2 folders are the classes' in line) == nested
    for config in (KNN, FASTPROBE):
        line = error_line(call('test', config, 'none', '--work-dir', tmp_path / 'w', *feature_options(tmp_path)))
        assert 'accuracy means nothing: ' in line


def test_what_lies_beside_class_folders_is_told(class_photos, tmp_path):
    shutil.copytree(class_photos, tmp_path / 'p')
    Image.new('RGB', (8, 8)).save(tmp_path / 'p' / 'train' / 'loose.png')
    (tmp_path / 'p' / 'train' / 'gone').symlink_to('nowhere')
    ended = train(FINETUNE, '--work-dir', tmp_path / 'w', *class_options(tmp_path / 'p'))
    assert "images beside the class folders have no class and are passed over (1), e.g. 'loose.png'" in ended.out
    assert "links that lead nowhere are passed over (1), e.g. 'gone'" in ended.out


def test_a_damaged_image_of_val_is_found_before_a_step(class_photos, tmp_path):
    shutil.copytree(class_photos, tmp_path / 'p')
    (tmp_path / 'p' / 'val' / 'red' / '1.png').write_bytes(b'')
    line = error_line(call('train', FINETUNE, '--work-dir', tmp_path / 'w', *class_options(tmp_path / 'p')))
    assert line.endswith('1.png is empty: an evaluation leaves no image out; restore it')


@pytest.mark.parametrize(
    'config, option, says',
    [
        *((KNN, f'test_cfg.ks={ks}', 'test_cfg.ks is a list of whole numbers') for ks in ('[0]', '[-3]', '5', '[]')),
        *((KNN, f'test_cfg.temperature={t}', 'test_cfg.temperature is a number') for t in ('0', '-1', '1e-5', 'x')),
        (FASTPROBE, 'test_cfg.epochs=0', 'test_cfg.epochs is a whole number'),
        (FASTPROBE, 'test_cfg.lrs=[-1]', 'test_cfg.lrs are numbers'),
        (FASTPROBE, 'test_cfg.lrs=x', 'test_cfg.lrs are numbers'),
        (KNN, 'test_dataloader.dataset.per_class=1.5', 'per_class is a number of images'),
        (KNN, 'test_dataloader.dataset.classes=2.5', "classes is 'imagenet', a file"),
        (KNN, 'test_dataloader.dataset.skip_unreadable=x', 'skip_unreadable is True, False or None'),
        (KNN, 'test_dataloader.dataset.transform=5', 'transform is the config of a transform'),
    ],
)
def test_settings_of_evaluations(class_photos, tmp_path, config, option, says):
    options = [*feature_options(class_photos), option]
    assert says in error_line(call('test', config, 'none', '--work-dir', tmp_path, *options))
