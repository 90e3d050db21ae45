"""The configs of 13 bands: everything follows `bands`, `mean` and `std`, and both train and test on tiny scenes."""

from __future__ import annotations

import pytest

from mae_transfer.data.band_scenes import write_band_scenes
from mae_transfer.data.scenes.band_painting import BAND_CLASSES, BANDS
from mae_transfer.settings import read_config
from tests.configs.recipes import CONFIGS, LOADERS, load
from tests.tools.commands import call, checkpoint

PRETRAINING, SEGMENTOR = 'small/bands13_mae_pretrain', 'small/bands13_upernet'
#: As the docstrings have it.
RGB = ['bands=4,3,2', 'mean=1863,1947,1839', 'std=2176,2145,2253']
TINY = [
    *('total_batch_size=2', 'train_dataloader.batch_size=2', 'val_dataloader.batch_size=2'),
    'test_dataloader.batch_size=2',
]


def readers(cfg) -> list[tuple]:
    """The bands of everything that reads images."""
    sets = [cfg[loader].dataset for loader in LOADERS]
    return [one.bands if 'bands' in one else one.pipeline[0].bands for one in sets]


@pytest.mark.parametrize('name, vit', [(PRETRAINING, 'vit'), (SEGMENTOR, 'backbone')])
@pytest.mark.parametrize('options, bands', [([], tuple(range(1, 14))), (RGB, (4, 3, 2))])
def test_everything_follows_the_bands(name, vit, options, bands):
    cfg = read_config(CONFIGS / f'{name}.py', options)
    assert {tuple(found) for found in readers(cfg)} == {bands}
    assert cfg.model[vit].in_channels == len(bands)
    preprocessor = cfg.model.data_preprocessor
    for key in ('mean', 'std'):
        assert tuple(preprocessor[key]) == tuple(load(name)[key][band - 1] for band in bands)
    assert preprocessor.get('bgr_to_rgb', False) is False
    if vit == 'backbone':
        kinds = [step.type for step in cfg.train_dataloader.dataset.pipeline]
        assert 'mae_transfer.Unchanged' in kinds and 'PhotoMetricDistortion' not in kinds


def test_both_configs_see_the_same():
    one, other = load(PRETRAINING), load(SEGMENTOR)
    assert len(one.bands) == len(BANDS) and tuple(other.classes) == BAND_CLASSES
    for name in ('bands', 'mean', 'std'):
        assert one[name] == other[name]
    for name in ('arch', 'patch_size'):
        assert one.model.vit[name] == other.model.backbone[name]


@pytest.mark.parametrize('options, channels', [([], 13), (RGB, 3)], ids=['13 bands', 'RGB'])
def test_an_mae_and_a_segmentor_from_it_are_trained_and_tested(options, channels, tmp_path):
    scenes = tmp_path / 'scenes'
    write_band_scenes(scenes, photos=5, labelled=2, val=2, size=32)

    def run(tool, name, root, changes):
        settings = [f'data_root={root}', *options, *TINY, *changes]
        work = tmp_path / name.rpartition('/')[2]
        trained = [work] if tool == 'test' else []
        ended = call(tool, CONFIGS / f'{name}.py', *trained, '--work-dir', work, '--cfg-options', *settings)
        assert ended.code == 0, ended.err
        return ended.out

    pretraining = ['max_epochs=1', 'warmup=.5', 'image_size=32', 'model.vit.arch=16x4x2']
    segmentor = [
        *('max_iters=3', 'warmup=2', 'crop_size=32,32', 'model.backbone.arch=16x4x2'),
        *('model.decode_head.channels=8', 'model.auxiliary_head.channels=8'),
        f'pretrained={tmp_path / "bands13_mae_pretrain"}',
    ]
    run('train', PRETRAINING, scenes / 'photos', pretraining)
    assert 'masked_loss' in run('test', PRETRAINING, scenes / 'photos', pretraining)
    assert 'loaded 52 of 52 weights' in run('train', SEGMENTOR, scenes, segmentor)
    judged = run('test', SEGMENTOR, scenes, segmentor)
    assert all(name in judged for name in ('artificial turf', 'mIoU'))
    weights = checkpoint(tmp_path / 'bands13_upernet')['state_dict']
    assert weights['backbone.patch_embed.proj.weight'].shape == (16, channels, 8, 8)
