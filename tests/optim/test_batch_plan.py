"""Batch plans: one total batch on any number of GPUs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EMAHook, IterTimerHook
from mmengine.registry import PARAM_SCHEDULERS

from mae_transfer.errors import UserError
from mae_transfer.kinds import class_of
from mae_transfer.optim.batch_plan import BatchPlan, plan_batch, plan_of


@pytest.mark.parametrize('gpus, accumulation', [(1, 64), (8, 8), (16, 4), (64, 1)])
def test_the_batch_of_the_paper_on_any_number_of_gpus(gpus, accumulation):
    plan = plan_batch(4096, 64, gpus, 1.5e-4)
    assert (plan.accumulation, plan.total) == (accumulation, 4096)
    assert plan.lr == pytest.approx(2.4e-3, rel=1e-12)


@settings(deadline=None, max_examples=30)
@given(per_gpu=st.integers(1, 64), gpus=st.integers(1, 64), accumulation=st.integers(1, 16))
def test_the_parts_of_a_plan_multiply_to_the_total(per_gpu, gpus, accumulation):
    total = per_gpu * gpus * accumulation
    plan = plan_batch(total, per_gpu, gpus, 1e-3)
    assert plan.accumulation == accumulation
    assert plan.lr == pytest.approx(1e-3 * total / 256)


def test_without_a_total_there_is_no_accumulation():
    plan = plan_batch(None, 32, 4, 1e-3)
    assert (plan.total, plan.accumulation) == (128, 1)


def test_a_plan_as_text():
    assert str(plan_batch(4096, 64, 8, 1.5e-4)) == (
        'batch 4096 = 64 images x 8 processes x 8 accumulated; learning rate 0.0024 = 0.00015 x 4096 / 256'
    )
    assert '1 process x' in str(plan_batch(64, 64, 1, 1.0))


@pytest.mark.parametrize(
    'total, per_gpu, gpus, words',
    [
        (
            4096,
            100,
            8,
            'total_batch_size 4096 cannot be made of 8 processes x 100 images: '
            'choose train_dataloader.batch_size from 4, 8, 16, 32, 64, 128, 256, 512',
        ),
        (32, 64, 1, 'choose train_dataloader.batch_size from 1, 2, 4, 8, 16, 32'),
        (4096, 64, 3, 'choose a total_batch_size that is a multiple of 3'),
        (2, 1, 4, 'choose a total_batch_size that is a multiple of 4'),
    ],
)
def test_an_impossible_batch_is_refused_with_possible_ones(total, per_gpu, gpus, words):
    with pytest.raises(UserError) as caught:
        plan_batch(total, per_gpu, gpus, 1.0)
    assert str(caught.value).endswith(words) or words in str(caught.value)
    assert '\n' not in str(caught.value)


@settings(deadline=None, max_examples=30)
@given(total=st.integers(1, 300), per_gpu=st.integers(1, 40), gpus=st.integers(1, 5))
def test_the_advice_of_an_error_works(total, per_gpu, gpus):
    try:
        plan_batch(total, per_gpu, gpus, 1.0)
    except UserError as error:
        if 'batch_size from' in str(error):
            for size in str(error).rpartition('from ')[2].split(', '):
                assert plan_batch(total, int(size), gpus, 1.0).total == total
        else:
            assert total % gpus or total < gpus


# --- adapting what the runner builds ----------------------------------------------------------------------------------
PLAN = BatchPlan(per_gpu=4, processes=2, accumulation=8, base_lr=1e-3)


def config(**changes) -> Config:
    settings = dict(
        total_batch_size=64,
        base_lr=1e-3,
        train_dataloader=dict(batch_size=4),
        optim_wrapper=dict(type='AutocastOptimWrapper', optimizer=dict(type='AdamW', weight_decay=0.05)),
    )
    return Config(dict(settings, **changes))


def test_planning_does_not_change_the_config():
    cfg = config()
    before = cfg.to_dict()
    assert plan_of(cfg, 2) == PLAN
    wrapper = PLAN.adapt_optim_wrapper(cfg.optim_wrapper)
    assert wrapper['accumulative_counts'] == 8 and wrapper['optimizer']['lr'] == pytest.approx(2.5e-4)
    assert wrapper['optimizer']['weight_decay'] == 0.05
    assert cfg.to_dict() == before


@pytest.mark.parametrize(
    'changes, accumulation, lr',
    [
        (dict(total_batch_size=None), 1, 3.125e-5),
        (dict(base_lr=None), 8, None),
        (dict(base_lr=None, optim_wrapper=dict(optimizer=dict(lr=0.3))), 8, None),
        (dict(total_batch_size=None, optim_wrapper=dict(optimizer=dict(), accumulative_counts=3)), 3, 9.375e-5),
    ],
)
def test_total_or_learning_rate_can_be_set_in_the_optim_wrapper(changes, accumulation, lr):
    plan = plan_of(config(**changes), 2)
    assert plan.accumulation == accumulation and plan.lr == (lr and pytest.approx(lr))
    assert ('learning rate' in str(plan)) == (lr is not None)


@pytest.mark.parametrize(
    'changes', [dict(total_batch_size=None, base_lr=None), dict(train_dataloader=None), dict(train_dataloader={})]
)
def test_there_is_no_plan_without_total_and_learning_rate_or_without_training(changes):
    assert plan_of(config(**changes), 2) is None


@pytest.mark.parametrize(
    'changes, words',
    [
        (
            dict(optim_wrapper=dict(optimizer=dict(lr=0.3))),
            'the learning rate is set twice: .*lr=0.3 and base_lr=0.001',
        ),
        (dict(optim_wrapper=dict(optimizer=dict(), accumulative_counts=2)), 'the accumulation is set twice'),
        (dict(total_batch_size=-8), 'total_batch_size is a whole number of images, 1 or more; found -8'),
        (dict(total_batch_size=64.0), 'total_batch_size is a whole number'),
        (dict(train_dataloader=dict(batch_size=0)), 'train_dataloader.batch_size is a whole number of images'),
        (dict(base_lr='fast'), "base_lr is a learning rate per 256 images, 0 or more; found 'fast'"),
        (dict(base_lr=-1e-3), 'base_lr is a learning rate'),
    ],
)
def test_contradictory_or_impossible_settings_are_refused(changes, words):
    with pytest.raises(UserError, match=words) as caught:
        plan_of(config(**changes), 2)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'loop, expected',
    [
        (dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=5), {}),
        (dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=100), dict(max_iters=8000, val_interval=800)),
        (dict(by_epoch=False, max_iters=1000, val_begin=10), dict(max_iters=8000, val_begin=80)),
    ],
)
def test_a_loop_in_iterations_makes_as_many_optimiser_steps(loop, expected):
    assert PLAN.adapt_loop(loop) == {**loop, **expected}


@pytest.mark.parametrize(
    'scheduler, expected',
    [
        (dict(type='MultiStepLR', milestones=[400, 800], by_epoch=False), dict(milestones=[3200, 6400])),
        (dict(type='StepLR', step_size=300, by_epoch=False), dict(step_size=2400)),
        (dict(type='CosineAnnealingLR', T_max=900, by_epoch=False), dict(T_max=7200)),
        (dict(type='OneCycleLR', total_steps=1000, eta_max=1.0, by_epoch=False), dict(total_steps=8000)),
        (
            dict(type='CosineRestartLR', periods=[200, 800], restart_weights=[1, 0.5], by_epoch=False),
            dict(periods=[1600, 6400]),
        ),
        (dict(type='PolyLR', begin=30, power=1.0, by_epoch=False), dict(begin=240)),
        (dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False), dict(end=240)),
        (dict(type='LinearLR', start_factor=0.1, end=30), dict(by_epoch=True)),
        (dict(type='MultiStepLR', milestones=[4, 8], by_epoch=True), {}),
        (
            dict(type='mae_transfer.WarmupCosineLR', warmup=50, end=1000),
            dict(warmup=400, end=8000, by_epoch=False, accumulation=8),
        ),
        (
            dict(type='mae_transfer.WarmupCosineLR', warmup=1, by_epoch=True, convert_to_iter_based=True),
            dict(accumulation=8),
        ),
    ],
)
def test_lengths_in_iterations_are_multiplied_and_those_in_epochs_stay(scheduler, expected):
    kind = class_of(scheduler, PARAM_SCHEDULERS, 'mmengine')
    assert PLAN.adapt_scheduler(scheduler, kind) == {**scheduler, **expected}


def test_hooks_that_count_iterations_count_optimiser_steps():
    average, own = EMAHook(begin_iter=10), EMAHook(interval=2)
    by_iteration, by_epoch = CheckpointHook(interval=50, by_epoch=False), CheckpointHook(interval=2)
    PLAN.adapt_hooks([average, own, by_iteration, by_epoch, IterTimerHook()])
    assert (average.ema_cfg['interval'], average.begin_iter, own.ema_cfg['interval']) == (8, 80, 16)
    assert (by_iteration.interval, by_epoch.interval) == (400, 2)


def test_hooks_are_recognized_by_class_not_by_name():
    class Mine(EMAHook):
        pass

    hook = Mine()
    PLAN.adapt_hooks([hook])
    assert hook.ema_cfg['interval'] == 8
