"""One total batch on any number of GPUs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mae_transfer.errors import UserError
from mae_transfer.optim.batch_plan import apply_batch_plan, plan_batch


@pytest.mark.parametrize('gpus, accumulation', [(1, 64), (8, 8), (16, 4), (64, 1)])
def test_the_paper_s_batch_on_any_number_of_gpus(gpus, accumulation):
    plan = plan_batch(4096, 64, gpus, 1.5e-4)
    assert (plan.accumulation, plan.total) == (accumulation, 4096)
    assert plan.lr == pytest.approx(2.4e-3, rel=1e-12)


@settings(deadline=None, max_examples=30)
@given(per_gpu=st.integers(1, 64), gpus=st.integers(1, 64), accumulation=st.integers(1, 16))
def test_a_plan_makes_up_the_total(per_gpu, gpus, accumulation):
    total = per_gpu * gpus * accumulation
    plan = plan_batch(total, per_gpu, gpus, 1e-3)
    assert plan.accumulation == accumulation
    assert plan.lr == pytest.approx(1e-3 * total / 256)


def test_without_a_total_the_gpus_hold_it_at_once():
    plan = plan_batch(None, 32, 4, 1e-3)
    assert (plan.total, plan.accumulation) == (128, 1)


def test_the_plan_says_what_it_is():
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
def test_an_impossible_plan_is_refused_with_what_would_be_possible(total, per_gpu, gpus, words):
    with pytest.raises(UserError) as caught:
        plan_batch(total, per_gpu, gpus, 1.0)
    assert str(caught.value).endswith(words) or words in str(caught.value)
    assert '\n' not in str(caught.value)


@settings(deadline=None, max_examples=30)
@given(total=st.integers(1, 300), per_gpu=st.integers(1, 40), gpus=st.integers(1, 5))
def test_what_a_refusal_advises_works(total, per_gpu, gpus):
    try:
        plan_batch(total, per_gpu, gpus, 1.0)
    except UserError as error:
        if 'batch_size from' in str(error):
            for size in str(error).rpartition('from ')[2].split(', '):
                assert plan_batch(total, int(size), gpus, 1.0).total == total
        else:
            assert total % gpus or total < gpus


# --- into a config ----------------------------------------------------------------------------------------------------
def config(**changes) -> Config:
    return Config(
        dict(
            dict(
                total_batch_size=64,
                base_lr=1e-3,
                train_dataloader=dict(batch_size=4),
                optim_wrapper=dict(type='AutocastOptimWrapper', optimizer=dict(type='AdamW')),
                train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=5),
                default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2)),
            ),
            **changes,
        )
    )


def by_iterations(*schedulers: dict, **changes) -> Config:
    return config(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=100),
        param_scheduler=list(schedulers),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=50, by_epoch=False)),
        **changes,
    )


def test_rate_and_accumulation_are_written_into_the_config():
    cfg = config()
    plan = apply_batch_plan(cfg, gpus=2)
    assert plan.accumulation == cfg.optim_wrapper.accumulative_counts == 8
    assert cfg.optim_wrapper.optimizer.lr == plan.lr == pytest.approx(2.5e-4)


def test_epochs_stay_epochs():
    cfg = config(
        param_scheduler=[
            dict(type='WarmupCosineLR', warmup=1, end=10, by_epoch=True, convert_to_iter_based=True),
            dict(type='MultiStepLR', milestones=[4, 8], by_epoch=True),
        ]
    )
    apply_batch_plan(cfg, gpus=2)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval, cfg.default_hooks.checkpoint.interval) == (10, 5, 2)
    assert (cfg.param_scheduler[0].warmup, cfg.param_scheduler[0].end, cfg.param_scheduler[0].accumulation) == (
        1,
        10,
        8,
    )
    assert cfg.param_scheduler[1].milestones == [4, 8]


def test_a_warm_up_in_iterations_is_stretched_in_a_run_of_epochs():
    cfg = config(param_scheduler=[dict(type='LinearLR', start_factor=0.1, begin=0, end=30, by_epoch=False)])
    apply_batch_plan(cfg, gpus=2)
    assert (cfg.param_scheduler[0].begin, cfg.param_scheduler[0].end) == (0, 240)


def test_a_run_of_iterations_makes_as_many_optimiser_steps():
    cfg = by_iterations(dict(type='PolyLR', begin=30, end=1000, power=1.0, by_epoch=False))
    apply_batch_plan(cfg, gpus=2)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (8000, 800)
    assert cfg.default_hooks.checkpoint.interval == 400
    assert (cfg.param_scheduler[0].begin, cfg.param_scheduler[0].end) == (240, 8000)


@pytest.mark.parametrize(
    'scheduler, name, stretched',
    [
        (dict(type='MultiStepLR', milestones=[400, 800], by_epoch=False), 'milestones', [3200, 6400]),
        (dict(type='StepLR', step_size=300, by_epoch=False), 'step_size', 2400),
        (dict(type='CosineAnnealingLR', T_max=900, by_epoch=False), 'T_max', 7200),
        (dict(type='OneCycleLR', total_steps=1000, eta_max=1.0, by_epoch=False), 'total_steps', 8000),
        (
            dict(type='CosineRestartLR', periods=[200, 800], restart_weights=[1, 0.5], by_epoch=False),
            'periods',
            [1600, 6400],
        ),
        (dict(type='WarmupCosineLR', warmup=50, end=1000), 'warmup', 400),
        (dict(type='mae_transfer.WarmupCosineLR', warmup=50, end=1000, by_epoch=False), 'end', 8000),
    ],
)
def test_every_length_in_iterations_is_stretched(scheduler, name, stretched):
    cfg = by_iterations(scheduler)
    apply_batch_plan(cfg, gpus=2)
    assert cfg.param_scheduler[0][name] == stretched


def test_one_scheduler_need_not_be_a_list():
    cfg = config(
        param_scheduler=dict(type='WarmupCosineLR', warmup=1, end=10, by_epoch=True, convert_to_iter_based=True)
    )
    apply_batch_plan(cfg, gpus=4)
    assert cfg.param_scheduler.accumulation == 4


def test_without_accumulation_nothing_is_stretched():
    cfg = by_iterations(dict(type='MultiStepLR', milestones=[400, 800], by_epoch=False))
    apply_batch_plan(cfg, gpus=16)
    assert cfg.train_cfg.max_iters == 1000 and cfg.param_scheduler[0].milestones == [400, 800]


def test_a_config_without_base_rate_is_left_alone():
    cfg = config(base_lr=None)
    cfg.pop('base_lr')
    cfg.optim_wrapper.optimizer.lr = 0.3
    before = cfg.to_dict()
    assert apply_batch_plan(cfg, gpus=8) is None
    assert cfg.to_dict() == before
