"""Training stops when a metric no longer improves; the count survives resuming."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MessageHub, MMLogger

from mae_transfer.errors import UserError
from mae_transfer.hooks import PatienceHook
from mae_transfer.settings import read_config
from tests.tools.commands import REPOSITORY


def runner(info=None):
    hub = MessageHub('test')
    hub.runtime_info.update(info or {})
    loop = SimpleNamespace(stop_training=False)
    return SimpleNamespace(message_hub=hub, train_loop=loop, iter=0, logger=MMLogger.get_instance('patience'))


def evaluations(values, patience, stop_at=None):
    """How many evaluations are made of a run that would have these values; begun again before one of them."""
    run, hook = runner(), PatienceHook(patience, 'm')
    hook.before_train(run)
    for place, value in enumerate(values, 1):
        run.iter = place
        hook.after_val_epoch(run, dict(m=value))
        if place == stop_at:  # the checkpoint was written after the evaluation, which is made again
            run = runner(dict(run.message_hub.runtime_info))
            hook = PatienceHook(patience, 'm')
            hook.before_train(run)
            run.iter = place
            hook.after_val_epoch(run, dict(m=value))
        if run.train_loop.stop_training:
            return place
    return len(values)


@pytest.mark.parametrize(
    'values, patience, expected',
    [
        ([1, 2, 3, 4], 1, 4),
        ([1, 1, 1, 1], 2, 3),  # equal is not better
        ([0, 0, 0], 1, 2),
        ([3, 1, 2, 4, 1, 1, 1], 3, 7),
        ([3, 1, 2, 3.0001, 1, 1, 1, 1], 3, 7),
    ],
)
def test_it_waits_for_a_better_value(values, patience, expected):
    assert evaluations(values, patience) == expected


@settings(deadline=None)
@given(
    values=st.lists(st.floats(0, 1), min_size=1, max_size=12), patience=st.integers(1, 4), stop_at=st.integers(1, 12)
)
def test_a_run_that_is_resumed_stops_where_it_would_have(values, patience, stop_at):
    assert evaluations(values, patience, stop_at) == evaluations(values, patience)


def test_a_run_without_patience_left_stops_at_once():
    run = runner({'patience': dict(best=1.0, waited=2, at=6)})
    PatienceHook(3, 'm').before_train(run)
    assert not run.train_loop.stop_training
    PatienceHook(2, 'm').before_train(run)
    assert run.train_loop.stop_training


def test_mistakes_are_one_line():
    for wrong in (0, 1.5, True, '3'):
        with pytest.raises(UserError, match='patience is a number of evaluations, 1 or more, or None'):
            PatienceHook(wrong, 'm')
    with pytest.raises(UserError, match="patience waits for 'm', which the evaluation has not: it has a, b"):
        PatienceHook(1, 'm').after_val_epoch(runner(), dict(a=1, b=2))


@pytest.mark.parametrize(
    'name, metric',
    [
        ('coco_maskrcnn_vitb', 'coco/bbox_mAP'),
        ('coco_vitdet_cascade_vitl', 'coco/bbox_mAP'),
        ('ade20k_upernet_vitb', 'mIoU'),
        ('in1k_finetune_vitb', 'accuracy/top1'),
        ('in1k_linprobe_vitb', 'accuracy/top1'),
        ('in1k_scratch_vitb', 'accuracy/top1'),
    ],
)
def test_the_setting_of_configs_that_train_with_labels(name, metric):
    cfg = read_config(REPOSITORY / f'configs/{name}.py')
    assert cfg.default_hooks.patience is None and cfg.default_hooks.checkpoint.save_best is None
    cfg = read_config(REPOSITORY / f'configs/{name}.py', ['patience=3'])
    assert cfg.default_hooks.patience == dict(type='mae_transfer.PatienceHook', patience=3, metric=metric)
    assert cfg.default_hooks.checkpoint.save_best == metric
