"""Configs of segmentors that are refused before the segmentor is built."""

import pytest
from mmengine.config import Config

from mae_transfer.dense import checks
from mae_transfer.dense.checks import (
    check_losses,
    check_masks,
    check_order_of_classes,
    check_pooled_batch,
    check_softmax,
    check_windows,
)
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


SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)


@pytest.mark.parametrize(
    'head, says',
    [
        (dict(num_classes=1), "softmax over one output: 'NAME' is the only class, so that every prediction is right"),
        (dict(num_classes=1, loss_decode=dict(type='CrossEntropyLoss')), 'classes=background,NAME'),
        (dict(num_classes=1, loss_decode=[SIGMOID, dict(type='CrossEntropyLoss')]), 'softmax over one output'),
        (dict(num_classes=1, loss_decode=dict(type='mmseg.CrossEntropyLoss')), 'softmax over one output'),
        (dict(num_classes=1, loss_decode=dict(type='DiceLoss', use_sigmoid=False)), 'softmax over one output'),
        (
            dict(num_classes=2, out_channels=1),
            r'softmax over one output \(out_channels=1\), which is always 1: set use_s',
        ),
    ],
)
def test_a_softmax_over_one_output_is_refused(head, says):
    with pytest.raises(UserError, match=says):
        check_softmax(config(**head))


@pytest.mark.parametrize(
    'head',
    [
        dict(num_classes=2),
        dict(num_classes=2, out_channels=2),
        dict(num_classes=2, out_channels=1, loss_decode=SIGMOID),
        dict(num_classes=1, loss_decode=SIGMOID),
        dict(num_classes=1, loss_decode=dict(type='DiceLoss')),
        dict(num_classes=1, loss_decode=dict(type='FocalLoss')),
    ],
)
def test_other_outputs_and_losses_pass(head):
    check_softmax(config(**head))
    check_softmax(Config(dict(model=dict(type='MaskRCNN'))))


def test_the_advice_for_one_class_names_it():
    cfg = config(num_classes=1)
    cfg.classes = 'crack'
    with pytest.raises(
        UserError, match='classes=background,crack, with reduce_zero_label=False .* or label_values=0,255'
    ):
        check_softmax(cfg)


def test_auxiliary_heads_are_checked():
    cfg = config(num_classes=2)
    cfg.model.auxiliary_head = [dict(type='FCNHead', num_classes=2), dict(type='FCNHead', num_classes=1)]
    with pytest.raises(UserError, match='^model.auxiliary_head takes'):
        check_softmax(cfg)


@pytest.mark.parametrize(
    'head, says',
    [
        (dict(ignore_index=0), 'model.decode_head.ignore_index=0: ignored pixels are 255 in every label map'),
        (
            dict(num_classes=3, loss_decode=dict(type='CrossEntropyLoss', class_weight=[1.0, 2.0])),
            'model.decode_head.loss_decode.class_weight has 2 weights for 3 classes: give one for each',
        ),
    ],
)
def test_losses_that_fail_in_the_first_step_are_refused(head, says):
    with pytest.raises(UserError, match=says):
        check_losses(config(**head))


@pytest.mark.parametrize(
    'head', [dict(), dict(ignore_index=255), dict(num_classes=2, loss_decode=[dict(class_weight=[1, 2]), dict()])]
)
def test_other_losses_are_not(head):
    check_losses(config(**head))


@pytest.mark.parametrize(
    'mask_head, metric, is_fine',
    [(None, 'bbox', True), (None, ['bbox', 'segm'], False), (None, 'segm', False), (dict(type='X'), 'segm', True)],
)
def test_masks_of_a_detector_without_a_mask_head_are_not_evaluated(mask_head, metric, is_fine):
    cfg = Config(dict(model=dict(roi_head=dict(mask_head=mask_head)), val_evaluator=dict(metric=metric)))
    check_masks(cfg, 'test')
    if is_fine:
        check_masks(cfg, 'train', 'val')
        return
    with pytest.raises(UserError, match="val_evaluator.metric names 'segm', but the model has no model.roi_head.mas"):
        check_masks(cfg, 'train', 'val')


@pytest.mark.parametrize(
    'train, val, says',
    [
        (('a', 'b'), ['a', 'b'], None),
        (('a', 'b'), None, None),
        (('a', 'b'), ('b', 'a'), r'of train_dataloader \(a, b\) and of val_dataloader \(b, a\) are the same in'),
        (('a', 'b'), ('a', 'c'), 'are others, but a label is a place among them: set `classes` alone'),
    ],
)
def test_all_data_sets_have_the_classes_in_one_order(train, val, says):
    loaders = {
        f'{name}_dataloader': dict(dataset=dict(type='X', metainfo=dict(classes=classes)))
        for name, classes in (('train', train), ('val', val))
    }
    cfg = Config(dict(model=dict(), **loaders))
    check_order_of_classes(cfg, 'train')
    if says is None:
        check_order_of_classes(cfg, 'train', 'val')
        return
    with pytest.raises(UserError, match=says):
        check_order_of_classes(cfg, 'train', 'val')
