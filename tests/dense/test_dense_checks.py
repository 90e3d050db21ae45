"""Configs of segmentors that are refused before the segmentor is built."""

import pytest
from mmengine.config import Config

from mae_transfer.dense import checks
from mae_transfer.dense.checks import check_pooled_batch, check_windows
from mae_transfer.errors import UserError


def config(batch=1, norm='BN', test_cfg=None, **head):
    head = dict(dict(type='UPerHead', norm_cfg=norm and dict(type=norm)), **head)
    return Config(
        dict(
            default_scope='mmseg',
            model=dict(decode_head=head, auxiliary_head=None, test_cfg=test_cfg),
            train_dataloader=dict(batch_size=batch),
        )
    )


@pytest.mark.parametrize(
    'processes, settings',
    [
        (1, dict()),
        (4, dict()),
        (1, dict(norm='SyncBN')),
        (1, dict(norm='mmengine.SyncBN')),
        (2, dict(norm='SyncBN')),  # without a GPU, each process has its own statistics
        (2, dict(type='mmseg.PSPHead', pool_scales=(1, 2))),
    ],
)
def test_batch_norm_of_one_value_per_channel_is_refused(processes, settings):
    with pytest.raises(
        UserError, match='model.decode_head normalises a map pooled to 1 x 1 by .*batch_size=1: choose 2 or more'
    ):
        check_pooled_batch(config(**settings), processes)


@pytest.mark.parametrize(
    'processes, settings',
    [
        (1, dict(batch=2)),
        (1, dict(norm='GN')),
        (1, dict(norm=None)),
        (1, dict(pool_scales=(2, 3))),
        (1, dict(type='FCNHead')),
    ],
)
def test_batch_norm_of_several_values_per_channel_passes(processes, settings):
    check_pooled_batch(config(**settings), processes)
    check_pooled_batch(Config(dict(model=dict(type='MaskRCNN'), train_dataloader=dict(batch_size=1))), 1)


def test_sync_bn_uses_the_values_of_all_gpus(monkeypatch):
    monkeypatch.setattr(checks, 'get_device', lambda: 'cuda')
    check_pooled_batch(config(norm='SyncBN'), 2)
    for processes, norm in ((1, 'SyncBN'), (2, 'BN')):
        with pytest.raises(UserError, match='needs two images in each process'):
            check_pooled_batch(config(norm=norm), processes)


@pytest.mark.parametrize(
    'test_cfg, words',
    [
        (dict(mode='slid'), "'slide' or 'whole'; found 'slid'"),
        (dict(mode='slide'), 'needs a crop_size and a stride'),
        (dict(mode='slide', crop_size=(64, 64), stride=(65, 64)), 'no larger'),
        (dict(mode='slide', crop_size=(64, 64), stride=(0, 64)), 'found (64, 64) and (0, 64)'),
        (dict(mode='slide', crop_size=64, stride=64), 'found 64 and 64'),
    ],
)
def test_windows_that_cannot_slide_are_refused(test_cfg, words):
    with pytest.raises(UserError) as error:
        check_windows(config(test_cfg=test_cfg))
    assert words in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
    'test_cfg',
    [
        None,
        dict(rcnn=dict(score_thr=0.05)),
        dict(mode='whole'),
        dict(mode='slide', crop_size=(64, 64), stride=(64, 43)),
    ],
)
def test_windows_that_can_slide_pass(test_cfg):
    check_windows(config(test_cfg=test_cfg))
