"""Images of 1, 4 and 13 bands through the tools: pre-training, classification, detection, segmentation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.written import npy, tiff, values
from tests.own_data import write_coco, write_scenes
from tests.tools.classification import FINETUNE, class_options
from tests.tools.commands import CONFIG, call, error_line, small, train
from tests.tools.test_own_data import CONFIGS, options

#: {bands: type, suffix, mean, std}
FILES = {
    '(1,)': ('uint16', '.tif', (32768.0,), (18900.0,)),
    '(4,2,1,3)': ('uint8', '.npy', (127.0,) * 4, (74.0,) * 4),
    '(1,2,3,4,5,6,7,8,9,10,11,12,13)': ('float32', '.tif', (0.0,) * 13, (1000.0,) * 13),
}


def write(path: Path, bands: str, size: tuple[int, int] = (40, 44), seed: int = 0) -> Path:
    """An image of all bands, of a size (height, width); the suffix is that of its kind."""
    dtype, suffix, _, _ = FILES[bands]
    path = path.with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    array = values(dtype, bands.count(',') + (bands != '(1,)'), size, seed)
    return tiff(path, array) if suffix == '.tif' else npy(path, array)


def rewrite(root: Path, bands: str) -> None:
    """Replace every photo of a data set by an image of the bands, of the same size."""
    for seed, path in enumerate(sorted(root.rglob('*.jpg'))):
        with Image.open(path) as file:
            size = file.size[::-1]
        path.unlink()
        write(path, bands, size, seed)
    for file in root.rglob('*.json'):
        file.write_text(file.read_text().replace('.jpg', FILES[bands][1]))


def setting(bands: str) -> list[str]:
    _, _, mean, std = FILES[bands]
    return [f'bands={bands}', f'mean={mean}'.replace(' ', ''), f'std={std}'.replace(' ', '')]


def judged(config: Path, run: Path, folder: Path, options: list, *more) -> str:
    """What tools/test.py prints, which must succeed, and which begins without a warning of the images' values."""
    ended = call('test', config, run, '--work-dir', folder, *more, *options)
    assert ended.code == 0, ended.err
    return ended.out


def captions(out: str) -> list[str]:
    return re.findall(r'picture of \S+: (bands? [\d, ]+): black [-\d., e+]+, white [-\d., e+]+', out)


@pytest.mark.parametrize('bands', FILES)
def test_pretraining_and_pictures(bands, tmp_path):
    for split, count in (('train', 8), ('val', 2)):
        for i in range(count):
            write(tmp_path / split / f'{i}', bands, seed=i)
    few = [*small(tmp_path), *setting(bands)]
    ended = train(CONFIG, '--work-dir', tmp_path / 'run', '--amp', 'off', *few)
    assert 'normalised images' not in ended.out
    assert (tmp_path / 'run' / 'reconstructions' / 'last.png').exists()
    assert 'reconstruction/masked_loss' in judged(CONFIG, tmp_path / 'run', tmp_path / 'test', few)
    chosen = {1: '1', 4: '3,2,4', 13: '13,1,7'}[len(FILES[bands][2])]
    ended = call('reconstruct', CONFIG, tmp_path / 'run', tmp_path / 'a.png', '--bands-shown', chosen, *few)
    assert ended.code == 0, ended.err
    with Image.open(tmp_path / 'a.png') as picture:
        colours = np.asarray(picture.convert('RGB')).astype(int)
    assert colours.shape[0] > 2 * (32 + 11)  # captions
    assert (np.ptp(colours[:32, :32], -1).max() > 0) == (chosen != '1')  # grey for one band
    line = error_line(call('reconstruct', CONFIG, tmp_path / 'run', tmp_path / 'a.png', '--bands-shown', '99', *few))
    assert line.startswith('error: bands_shown is one or three of bands=(') and line.endswith("found '99'")


@pytest.mark.parametrize('bands', FILES)
def test_classification(bands, tmp_path):
    for split, count in (('train', 4), ('val', 1)):
        for label in 'abc':
            for i in range(count):
                write(tmp_path / split / label / f'{i}', bands, seed=i)
    few = [*class_options(tmp_path), *setting(bands)]
    ended = train(FINETUNE, '--work-dir', tmp_path / 'run', *few)
    assert 'normalised images' not in ended.out
    assert 'accuracy/top1' in judged(FINETUNE, tmp_path / 'run', tmp_path / 'test', few)


@pytest.mark.parametrize('kind', ['coco', 'scenes'])
@pytest.mark.parametrize('bands', FILES)
def test_detection_and_segmentation(bands, kind, tmp_path):
    (write_coco if kind == 'coco' else write_scenes)(tmp_path / 'data')
    rewrite(tmp_path / 'data', bands)
    suffixes = [f'{loader}_dataloader.dataset.img_suffix={FILES[bands][1]}' for loader in ('train', 'val', 'test')]
    shown = 'default_hooks.visualization.bands_shown=1'
    few = [*options(kind, tmp_path / 'data'), *setting(bands), *(suffixes if kind == 'scenes' else []), shown]
    ended = train(CONFIGS[kind], '--work-dir', tmp_path / 'run', *few)
    assert 'normalised images' not in ended.out
    out = judged(CONFIGS[kind], tmp_path / 'run', tmp_path / 'test', few, '--show-dir', tmp_path / 'shown')
    assert ('coco/bbox_mAP' if kind == 'coco' else 'mIoU') in out
    assert captions(out) == ['band 1'] * 2
    drawn = sorted((tmp_path / 'shown').rglob('*.png'))
    assert len(drawn) == 2
    with Image.open(drawn[0]) as picture:
        assert np.asarray(picture).std() > 20  # stretched


@pytest.mark.parametrize(
    'config, few',
    [
        (CONFIG, lambda root: small(root)),
        (FINETUNE, lambda root: class_options(root)),
        *((CONFIGS[kind], lambda root, kind=kind: options(kind, root)) for kind in ('coco', 'scenes')),
    ],
)
def test_bands_without_statistics_are_refused(config, few, tmp_path):
    line = error_line(call('train', config, '--work-dir', tmp_path / 'run', *few(tmp_path), 'bands=(4,3,2,1)'))
    assert line == (
        'error: bands=(4, 3, 2, 1) needs its own mean, 4 value(s) on the scale of the files: measure mean and std by '
        'python -m mae_transfer.data.statistics DATA --bands ..., and set both'
    )


@pytest.mark.parametrize('kind', ['coco', 'scenes'])
def test_16_bit_images_are_refused_as_rgb(kind, tmp_path):
    """OpenCV would cut 12 bits in 16 to a mean of 6 of 255."""
    (write_coco if kind == 'coco' else write_scenes)(tmp_path / 'data')
    for path in (tmp_path / 'data').rglob('*.jpg'):
        with Image.open(path) as file:
            array = values('uint16', 1, file.size[::-1]) >> 4
        tiff(path, array)
    line = error_line(call('train', CONFIGS[kind], '--work-dir', tmp_path / 'run', *options(kind, tmp_path / 'data')))
    assert re.search(
        r"\d\.jpg has 1 channel of uint16, but bands='RGB' reads 8-bit grey or colours: set bands=1, ", line
    )


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_16_bit_photos_are_refused_as_rgb(tool, tmp_path, trained):
    for split in ('train', 'val'):
        for i in range(4):
            write(tmp_path / split / f'{i}', '(1,)', seed=i)
    checkpoint = [trained] if tool == 'test' else []
    line = error_line(call(tool, CONFIG, *checkpoint, '--work-dir', tmp_path / 'run', *small(tmp_path)))
    assert "/0.tif has 1 channel of uint16, but bands='RGB' reads 8-bit grey or colours: set bands=1, or " in line


def test_statistics_that_do_not_fit_are_told(tmp_path):
    for split in ('train', 'val'):
        for i in range(8):
            write(tmp_path / split / f'{i}', '(1,)', seed=i)
    ended = train(
        CONFIG,
        '--work-dir',
        tmp_path / 'run',
        '--amp',
        'off',
        *small(tmp_path),
        'bands=1',
        'mean=(.449,)',
        'std=(.226,)',
    )
    assert len(re.findall('channel 1 of the normalised images has mean', ended.out)) == 1
    assert re.search(
        r'mean and std of the config are \(0.449,\) and \(0.226,\); measured on the first 32 images, ', ended.out
    )


def test_json_of_the_data_names_the_new_files(tmp_path):
    """The data of these tests is what it should be."""
    write_coco(tmp_path)
    rewrite(tmp_path, '(1,)')
    content = json.loads((tmp_path / 'annotations/instances_val2017.json').read_text())
    assert all((tmp_path / 'val2017' / image['file_name']).exists() for image in content['images'])


def test_bands_shown_are_checked_before_training(tmp_path):
    for split in ('train', 'val'):
        for i in range(8):
            write(tmp_path / split / f'{i}', '(4,2,1,3)', seed=i)
    few = [*small(tmp_path), *setting('(4,2,1,3)'), 'default_hooks.reconstructions.bands_shown=7']
    line = error_line(call('train', CONFIG, '--work-dir', tmp_path / 'run', *few))
    assert line == 'error: bands_shown is one or three of bands=(4, 2, 1, 3), by their numbers in the files; found 7'


@pytest.mark.parametrize('kind', ['coco', 'scenes'])
def test_bands_shown_of_predictions_are_checked_before_training(kind, tmp_path):
    (write_coco if kind == 'coco' else write_scenes)(tmp_path)
    more = 'default_hooks.visualization.bands_shown=7'
    line = error_line(call('train', CONFIGS[kind], '--work-dir', tmp_path / 'run', *options(kind, tmp_path), more))
    assert line == "error: bands='RGB' are shown as they are: leave bands_shown out; found 7"


@pytest.mark.parametrize(
    'kind, place, transform',
    [
        ('coco', 2, 'PhotoMetricDistortion'),
        ('coco', 2, 'Brightness'),
        ('coco', 2, 'YOLOXHSVRandomAug'),
        ('scenes', 5, 'PhotoMetricDistortion'),
        ('scenes', 5, 'CLAHE'),
        ('scenes', 5, 'AdjustGamma'),
        ('scenes', 5, 'RGB2Gray'),
    ],
)
def test_colour_transforms_that_a_config_names(kind, place, transform, tmp_path):
    """Most would cut float32 to 8 bits in silence."""
    (write_coco if kind == 'coco' else write_scenes)(tmp_path)
    more = [*setting('(1,)'), f"train_dataloader.dataset.pipeline.{place}={{'type':'{transform}'}}"]
    line = error_line(call('train', CONFIGS[kind], '--work-dir', tmp_path / 'run', *options(kind, tmp_path), *more))
    assert line == f"error: the pipeline has {transform}, which is for bands='RGB', but bands are (1,): leave it out"


def test_roots_of_several_types_are_refused(tmp_path):
    for root, bands in (('a', '(1,)'), ('b', '(4,2,1,3)')):
        for i in range(12):
            write(tmp_path / root / f'{i}', bands, seed=i)
    roots = f'[{tmp_path}/a,{tmp_path}/b]'
    line = error_line(call('train', CONFIG, '--work-dir', tmp_path / 'run', *small(roots), *setting('(1,)')))
    assert line.endswith(
        f'{tmp_path}/b has values of uint8, but {tmp_path}/a has uint16: convert all to one type and scale'
    )


def test_other_bands_of_as_many_channels_are_told(tmp_path):
    for split, count in (('train', 8), ('val', 2)):
        for i in range(count):
            write(tmp_path / split / f'{i}', '(4,2,1,3)', seed=i)
    train(CONFIG, '--work-dir', tmp_path / 'run', *small(tmp_path), *setting('(4,2,1,3)'))
    few = [*small(tmp_path), *setting('(4,2,1,3)'), 'bands=1,2,3,4']
    told = r'\.pth was trained with bands=\(4, 2, 1, 3\) \(here \(1, 2, 3, 4\)\): the model now sees other values'
    assert re.search(told, judged(CONFIG, tmp_path / 'run', tmp_path / 'test', few))
    assert not re.search('was trained with', judged(CONFIG, tmp_path / 'run', tmp_path / 'test', few[:-1]))
    finetuned = train(
        FINETUNE,
        '--work-dir',
        tmp_path / 'c',
        *class_data(tmp_path),
        *setting('(4,2,1,3)'),
        f'pretrained={tmp_path}/run',
    )
    assert re.search(r'bands: its run saw bands=\(4, 2, 1, 3\) of the files, in this order', finetuned.out)


def class_data(root: Path) -> list[str]:
    for split, count in (('train', 4), ('val', 1)):
        for label in 'abc':
            for i in range(count):
                write(root / 'classes' / split / label / f'{i}', '(4,2,1,3)', seed=i)
    return class_options(root / 'classes')
