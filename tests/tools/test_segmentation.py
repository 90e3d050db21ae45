"""tools/test.py and tools/train.py on UperNet: several scales, pictures, impossible settings."""

from __future__ import annotations

import re
from unittest import mock

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mae_transfer.dense.views import AveragedViews
from mae_transfer.settings import read_config
from tests.configs.dense import draw
from tests.tools.commands import REPOSITORY, call

CONFIG = REPOSITORY / 'configs' / 'ade20k_upernet_vitb.py'


@pytest.fixture(scope='module')
def options(tmp_path_factory):
    """Options that make the config small; there are three validation images of odd sizes."""
    root = tmp_path_factory.mktemp('ade')
    for split, sizes in [('training', [(50, 60)] * 2), ('validation', [(33, 47), (61, 40), (50, 51)])]:
        for i, (height, width) in enumerate(sizes):
            draw(root / 'images' / split / f'{i}.jpg', height, width)
            draw(root / 'annotations' / split / f'{i}.png', height, width, channels=1, high=151)
    settings = {
        'data_root': root,
        'pretrained': 'none',
        'crop_size': '(64,64)',
        'model.backbone.arch': '32x4x2',
        'model.backbone.out_indices': '(0,1,2,3)',
        'model.decode_head.channels': 16,
        **{f'{loader}_dataloader.num_workers': 0 for loader in ('train', 'val', 'test')},
    }
    return [f'{key}={value}' for key, value in settings.items()]


@pytest.fixture(scope='module')
def checkpoint(options, tmp_path_factory):
    """A model of random weights whose predictions vary over an image."""
    cfg = read_config(CONFIG, options)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(cfg.model)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    path = tmp_path_factory.mktemp('model') / 'model.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


def metrics(ended):
    assert ended.code == 0, ended.err
    return {name: float(re.findall(rf'{name}: ([\d.]+)', ended.out)[-1]) for name in ('mIoU', 'mAcc', 'aAcc')}


def test_several_scales_and_pictures(options, checkpoint, tmp_path):
    seen = []

    def watched(model, data):
        seen.append([tuple(image.shape[1:]) for (image,) in data['inputs']])
        return test_step(model, data)

    test_step = AveragedViews.test_step
    with mock.patch.object(AveragedViews, 'test_step', watched):
        ended = call(
            'test',
            CONFIG,
            checkpoint,
            '--tta',
            '--show-dir',
            tmp_path / 'drawn',
            '--work-dir',
            tmp_path / 'run',
            '--cfg-options',
            *options,
            'tta.scales=(1.,1.5)',
        )
    assert set(metrics(ended)) == {'mIoU', 'mAcc', 'aAcc'}
    assert seen[0] == [(64, 91)] * 2 + [(96, 137)] * 2 and [len(views) for views in seen] == [4, 4, 4]
    assert len(list((tmp_path / 'drawn').rglob('*.png'))) == 3


def test_one_scale_without_mirroring_is_the_plain_test(options, checkpoint, tmp_path):
    common = ('--work-dir', tmp_path, '--cfg-options', *options)
    plain = metrics(call('test', CONFIG, checkpoint, *common))
    assert metrics(call('test', CONFIG, checkpoint, '--tta', *common, 'tta.scales=(1.,)', 'tta.flip=False')) == plain
    assert metrics(call('test', CONFIG, checkpoint, *common, 'model.test_cfg.mode=whole')) != plain


@pytest.mark.parametrize('config', ['coco_maskrcnn_vitb', 'in1k_finetune_vitb'])
def test_a_config_without_scales_is_refused(config, checkpoint, tmp_path):
    with mock.patch('mae_transfer.checks.check_data'):
        ended = call('test', REPOSITORY / 'configs' / f'{config}.py', checkpoint, '--tta', '--work-dir', tmp_path)
    assert ended.code == 2 and ended.err.strip().splitlines()[-1].startswith(
        'error: --tta needs a config with tta=dict'
    )


@pytest.mark.parametrize(
    'tool, option, words',
    [
        ('train', 'train_dataloader.batch_size=1', 'a map pooled to 1 x 1 by SyncBN, which needs two'),
        ('train', 'model.test_cfg.stride=(99,99)', "model.test_cfg.mode='slide' needs"),
        ('test', 'model.test_cfg.mode=hole', "model.test_cfg.mode is 'slide' or 'whole'; found 'hole'"),
    ],
)
def test_impossible_settings_are_refused(tool, option, words, options, checkpoint, tmp_path):
    ended = call(
        tool,
        CONFIG,
        *([checkpoint] if tool == 'test' else []),
        '--work-dir',
        tmp_path,
        '--cfg-options',
        *options,
        option,
    )
    assert ended.code == 2 and words in ended.err and len(ended.err.strip().splitlines()) == 1
