"""The schedules as the Runner builds them: the rate at the published epochs and steps, on any number of GPUs."""

from __future__ import annotations

import math

import pytest
from mmengine.hooks import CheckpointHook, EMAHook

from mae_transfer.runner import StrictRunner
from mae_transfer.settings import change_settings
from mae_transfer.vit.sizes import resolve_size
from tests.configs.recipes import load, start


# --- warm-up and cosine -----------------------------------------------------------------------------------------------
def official(epoch: float, lr: float, warmup: float, epochs: float, min_lr: float) -> float:
    """util/lr_sched.py, at a fractional epoch."""
    if epoch < warmup:
        return lr * epoch / warmup
    return min_lr + (lr - min_lr) * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


IMAGENET = 1281167 // 8  # training images: an eighth, which leaves enough iterations to an epoch


@pytest.mark.parametrize(
    'name, gpus, epochs, warmup, lr, min_lr',
    [
        # FINETUNE.md: 2e-3 and 4e-3 at a batch of 1024; 448 and the partial fine-tuning as their sizes.
        ('in1k_finetune_vitb', 8, 100, 5, 2e-3, 1e-6),
        ('in1k_finetune_vitl', 16, 50, 5, 4e-3, 1e-6),
        ('in1k_finetune_vith', 32, 50, 5, 4e-3, 1e-6),
        ('in1k_finetune_vith_448', 128, 50, 5, 4e-3, 1e-6),
        ('in1k_partial_vitl', 16, 50, 5, 4e-3, 1e-6),
        # MAE Table 10: .1 per 256 images at a batch of 16384.
        ('in1k_linprobe_vitb', 32, 90, 10, 6.4, 0.0),
        ('in1k_linprobe_vitl', 64, 90, 10, 6.4, 0.0),
        ('in1k_linprobe_vith', 128, 90, 10, 6.4, 0.0),
        # MAE Table 11: 1e-4 per 256 images at a batch of 4096.
        ('in1k_scratch_vitb', 16, 300, 20, 1.6e-3, 0.0),
        ('in1k_scratch_vitl', 32, 200, 20, 1.6e-3, 0.0),
        ('in1k_scratch_vith', 64, 200, 20, 1.6e-3, 0.0),
        # MAE Table 8: 1.5e-4 per 256 images at a batch of 4096.
        ('mae_pretrain_vitb', 64, 1600, 40, 2.4e-3, 0.0),
        ('mae_pretrain_vitl', 64, 1600, 40, 2.4e-3, 0.0),
        ('mae_pretrain_vith', 128, 1600, 40, 2.4e-3, 0.0),
        # Official MoCo v3, CONFIG.md: 1.5e-4 per 256 images at a batch of 4096, a warm-up of 40 epochs.
        ('mocov3_pretrain_vits', 32, 300, 40, 2.4e-3, 0.0),
        ('mocov3_pretrain_vitb', 64, 300, 40, 2.4e-3, 0.0),
        ('mocov3_pretrain_vitl', 64, 300, 40, 2.4e-3, 0.0),
        # Official BEiT, README.md: 1.5e-3 at a batch of 2048; the lowest rate is the default of its --min_lr.
        ('beit_pretrain_vitb', 32, 800, 10, 1.5e-3, 1e-5),
        ('beit_pretrain_vitl', 32, 800, 10, 1.5e-3, 1e-5),
        # MAE Fig. 7.
        ('ablations/_baseline', 64, 800, 40, 2.4e-3, 0.0),
        ('ablations/fig7_epochs_100', 64, 100, 40, 2.4e-3, 0.0),
        ('ablations/fig7_epochs_200', 64, 200, 40, 2.4e-3, 0.0),
        ('ablations/fig7_epochs_400', 64, 400, 40, 2.4e-3, 0.0),
        ('ablations/fig7_epochs_1600', 64, 1600, 40, 2.4e-3, 0.0),
        # Li 2021, Table 1 and App. A.2: 8e-5 at a batch of 64, a warm-up of a quarter of an epoch.
        ('coco_maskrcnn_vitb', 32, 100, 0.25, 8e-5, 0.0),
        ('coco_maskrcnn_vitl', 32, 100, 0.25, 8e-5, 0.0),
        ('tokenizer_dvae', 8, 100, 1, 1e-4, 0.0),
        ('small/tokenizer_dvae_tin20', 1, 3, 0.1, 4e-3, 0.0),
    ],
)
def test_the_rate_of_every_iteration_is_the_official_one(name, gpus, epochs, warmup, lr, min_lr, tmp_path):
    cfg = load(name)
    backbone = cfg.model.get('vit') or cfg.model.get('backbone') or {}
    images = 117266 // 8 if name.startswith('coco') else IMAGENET  # those of COCO that have objects
    runner = start(cfg, tmp_path, gpus, images, backbone.get('arch', 'base'))
    (scheduler,), groups = runner.param_schedulers, runner.optim_wrapper.optimizer.param_groups
    assert runner.accumulation == 1 and runner.train_loop.max_epochs == epochs
    decay = cfg.optim_wrapper.paramwise_cfg.layer_decay ** (resolve_size(backbone.get('arch', 'base')).depth + 1)
    assert [group['lr_scale'] for group in groups] == [pytest.approx(decay), 1.0][-len(groups) :]
    length, worst = len(runner.train_dataloader), 0.0
    for iteration in range(epochs * length):
        rate = official(iteration / length, lr, warmup, epochs, min_lr)
        for group in groups:
            worst = max(worst, abs(group['lr'] - rate * group['lr_scale']))
        scheduler.step()
    assert worst <= 1e-9
    assert [group['lr'] for group in groups] == [pytest.approx(min_lr * group['lr_scale']) for group in groups]


def test_accumulated_batches_keep_the_rate_of_the_first(tmp_path):
    runner = start(load('in1k_finetune_vitl'), tmp_path, 8, 64 * 8 * 2500, 'large')
    (scheduler,), length = runner.param_schedulers, len(runner.train_dataloader)
    assert runner.accumulation == scheduler.accumulation == 2 and length == 2500
    for iteration in range(3 * length):
        epoch, step = divmod(iteration, length)
        expected = official(epoch + (step - step % 2) / length, 4e-3, 5, 50, 1e-6)
        assert abs(runner.optim_wrapper.optimizer.param_groups[-1]['lr'] - expected) <= 1e-9, iteration
        scheduler.step()


@pytest.mark.parametrize('gpus, interval', [(8, 2), (16, 1)])
def test_the_moving_average_takes_one_of_each_step(gpus, interval, tmp_path):
    runner = start(load('in1k_scratch_vitb'), tmp_path, gpus, 4096)
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, EMAHook))
    assert hook.ema_cfg['interval'] == runner.accumulation == interval


# --- steps of the optimiser -------------------------------------------------------------------------------------------
def rates(runner: StrictRunner, steps: list[int], skipping: bool = False) -> list[float]:
    """The shares of the full rate with which the optimiser makes its ``steps``.

    Args:
        skipping: whether to jump over stretches in which nothing happens; not for rates that follow from the last one.
    """
    found, now, group = [], 0, runner.optim_wrapper.optimizer.param_groups[-1]
    for step in steps:
        then = step * runner.accumulation + runner.accumulation - 1  # the optimiser steps with the last of them
        if skipping and then - now > 5000:
            for scheduler in runner.param_schedulers:
                scheduler.last_step += then - now - 5000
            now = then - 5000
        for _ in range(then - now):
            for scheduler in runner.param_schedulers:
                scheduler.step()
        now = then
        found.append(group['lr'] / group['initial_lr'])
    return found


def checkpoint_interval(runner: StrictRunner) -> int:
    return next(hook.interval for hook in runner.hooks if isinstance(hook, CheckpointHook))


@pytest.mark.parametrize('accumulation', [1, 4])
@pytest.mark.parametrize(
    'name, warmup, milestones, length, interval',
    [
        ('coco_vitdet_vitb', 250, (163889, 177546), 184375, 5000),
        ('coco_vitdet_cascade_vith', 188, (122916, 133159), 138281, 3750),
    ],
)
def test_vitdet_has_the_rate_of_the_original_at_its_published_steps(
    name, warmup, milestones, length, interval, accumulation, tmp_path
):
    """detectron2's `common/coco_schedule.py` and `mask_rcnn_vitdet_*_100ep.py`: milestones, and a warm-up of 250 steps
    of 184375."""
    cfg = load(name)
    gpus = 64 // accumulation // cfg.train_dataloader.batch_size
    runner = start(cfg, tmp_path, gpus, 6400, cfg.model.backbone.arch)
    assert runner.accumulation == accumulation and runner.batch_plan.lr == pytest.approx(1e-4)
    assert runner.train_loop.max_iters == length * accumulation
    assert runner.train_loop.val_interval == checkpoint_interval(runner) == interval * accumulation
    first, second = milestones
    steps = [0, 100, warmup - 1, warmup, first - 1, first, second - 1, second, length - 1]
    found = rates(runner, steps, skipping=True)
    warm = [0.001 + 0.999 * step / warmup for step in (0, 100, warmup - 1)]
    # Within an accumulation the warm-up moves on, by less than a step of it.
    assert found[:3] == [pytest.approx(rate, abs=1e-6 if accumulation == 1 else 1 / warmup) for rate in warm]
    assert found[3:] == [pytest.approx(rate, rel=1e-6) for rate in (1, 1, 0.1, 0.1, 0.01, 0.01)]


def test_upernet_has_its_rate_at_the_published_steps(tmp_path):
    """implus/mae_segmentation: linear from 1e-6 of it over 1500 steps, then linear to zero at 160000."""
    runner = start(load('ade20k_upernet_vitb'), tmp_path, 8, 1600, 'base')
    assert runner.accumulation == 1 and runner.batch_plan.lr == pytest.approx(1e-4)
    assert runner.train_loop.max_iters == 160000
    assert (runner.train_loop.val_interval, checkpoint_interval(runner)) == (16000, 4000)
    assert rates(runner, [0, 750, 1499, 1500, 80750, 159999]) == [
        pytest.approx(1e-6),
        pytest.approx(750 / 1499, rel=1e-5),
        pytest.approx(1),
        pytest.approx(1, rel=1e-5),
        pytest.approx(0.5, rel=1e-4),
        pytest.approx(0, abs=1e-5),
    ]


def test_every_upernet_has_the_schedule_of_the_first():
    first = load('ade20k_upernet_vitb')
    for name in [f'ade20k_upernet_vit{size}{crop}' for size in 'blh' for crop in ('', '_640')]:
        cfg = load(name)
        assert (cfg.param_scheduler, cfg.train_cfg) == (first.param_scheduler, first.train_cfg), name


@pytest.mark.parametrize('gpus, accumulation', [(8, 1), (2, 4)])
def test_a_shorter_upernet_warms_up_and_falls_in_its_own_length(gpus, accumulation, tmp_path):
    cfg = change_settings(load('ade20k_upernet_vitb'), ['max_iters=400', 'warmup=20'])
    runner = start(cfg, tmp_path, gpus, 1600, 'base')
    assert runner.accumulation == accumulation and runner.train_loop.max_iters == 400 * accumulation
    assert (runner.train_loop.val_interval, checkpoint_interval(runner)) == (40 * accumulation, 10 * accumulation)
    # LinearLR has the full rate at the last step of the warm-up; within an accumulation the rate moves on.
    found = rates(runner, [0, 10, 19, 210, 399])
    assert found == [pytest.approx(rate, abs=1 / 19 + 1e-2) for rate in (0, 10 / 19, 1, 0.5, 0)]
    assert found[2] == pytest.approx(1) and found[4] < 1e-2


@pytest.mark.parametrize('name, length', [('small/overfit_coco', 160), ('small/overfit_ade', 400)])
def test_four_images_are_learnt_at_a_rate_that_ends_with_the_run(name, length, tmp_path):
    cfg = load(name)
    runner = start(cfg, tmp_path, 1, 4, '16x2x2')
    assert runner.train_loop.max_iters == length
    assert rates(runner, [0, cfg.warmup, length - 1]) == [0, 1, pytest.approx(0, abs=1e-3)]
