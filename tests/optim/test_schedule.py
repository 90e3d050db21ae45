"""The learning rate at every iteration against the official formula."""

import math

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.optim import WarmupCosineLR
from mae_transfer.registry import PARAM_SCHEDULERS


def official(epoch: float, lr: float, warmup: float, epochs: float, min_lr: float = 0.0) -> float:
    """util/lr_sched.py, at a fractional epoch."""
    if epoch < warmup:
        return lr * epoch / warmup
    return min_lr + (lr - min_lr) * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


def optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([dict(params=[nn.Parameter(torch.zeros(1))], lr=rate) for rate in rates or (2.4e-3,)])


def by_epoch(optimizer, epoch_length: int, **settings) -> WarmupCosineLR:
    """Build the scheduler like MMEngine's runner."""
    return PARAM_SCHEDULERS.build(
        dict(type='WarmupCosineLR', by_epoch=True, convert_to_iter_based=True, **settings),
        default_args=dict(optimizer=optimizer, epoch_length=epoch_length),
    )


def rates(optimizer, scheduler, count: int) -> list[float]:
    """The rate of the first group in each of ``count`` iterations, before the optimiser's step."""
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize('warmup, end, length', [(2, 10, 7), (40, 100, 3), (0.5, 4, 9), (0, 5, 4), (1, 2, 1)])
def test_every_iteration_has_the_official_rate(warmup, end, length):
    sgd = optimizer(2.4e-3)
    found = rates(sgd, by_epoch(sgd, length, warmup=warmup, end=end), end * length)
    for iteration, rate in enumerate(found):
        epoch, step = divmod(iteration, length)
        expected = official(step / length + epoch, 2.4e-3, warmup, end)
        assert rate == pytest.approx(expected, rel=1e-12, abs=1e-15), iteration


def test_the_warm_up_rises_from_zero_to_the_full_rate():
    sgd = optimizer(1.0)
    found = rates(sgd, by_epoch(sgd, 5, warmup=2, end=6), 11)
    assert found[0] == 0 and found[10] == 1


def test_the_rate_stays_down_after_the_end():
    sgd = optimizer(1.0)
    found = rates(sgd, by_epoch(sgd, 5, warmup=1, end=3), 30)
    assert all(rate == pytest.approx(0, abs=1e-15) for rate in found[15:])


def test_the_lowest_rate_is_scaled_with_each_group():
    scales = (1.0, 0.65, 0.65**13)
    sgd = optimizer(*(0.5 * scale for scale in scales))
    for group, scale in zip(sgd.param_groups, scales):
        group['lr_scale'] = scale
    scheduler = by_epoch(sgd, 4, warmup=1, end=5, min_lr=0.01)
    for iteration in range(20):
        for group, scale in zip(sgd.param_groups, scales):
            # The official code works with the unscaled rates, then multiplies by the group's scale.
            assert group['lr'] == pytest.approx(scale * official(iteration / 4, 0.5, 1, 5, 0.01), rel=1e-12, abs=1e-15)
        sgd.step()
        scheduler.step()
    assert [group['lr'] for group in sgd.param_groups] == pytest.approx([0.01, 0.0065, 0.01 * 0.65**13])


def test_groups_without_a_scale_fall_to_min_lr_itself():
    sgd = optimizer(0.5, 0.1)
    rates(sgd, by_epoch(sgd, 4, warmup=1, end=5, min_lr=0.01), 20)
    assert [group['lr'] for group in sgd.param_groups] == pytest.approx([0.01, 0.01])


@pytest.mark.parametrize('accumulation', [2, 4])
def test_all_iterations_of_an_accumulation_have_the_rate_of_the_first(accumulation):
    sgd = optimizer(1.0)
    found = rates(sgd, by_epoch(sgd, 8, warmup=2, end=5, accumulation=accumulation), 40)
    for iteration, rate in enumerate(found):
        first = iteration - iteration % accumulation
        assert rate == pytest.approx(official(first / 8, 1.0, 2, 5), rel=1e-12, abs=1e-15), iteration


def test_lengths_in_iterations():
    sgd = optimizer(1.0)
    found = rates(sgd, WarmupCosineLR(sgd, warmup=4, end=20), 20)
    assert found == pytest.approx([official(iteration, 1.0, 4, 20) for iteration in range(20)], rel=1e-12)


@pytest.mark.parametrize('stop', [3, 7, 16])
def test_a_resumed_schedule_equals_an_uninterrupted_one(stop):
    whole, first, second = optimizer(1.0, 0.5), optimizer(1.0, 0.5), optimizer(1.0, 0.5)
    settings = dict(warmup=1, end=4, accumulation=2, min_lr=0.1)
    expected = rates(whole, by_epoch(whole, 5, **settings), 20)
    scheduler = by_epoch(first, 5, **settings)
    begun = rates(first, scheduler, stop)
    # MMEngine's order: build, then load.
    resumed = by_epoch(second, 5, **settings)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert begun + rates(second, resumed, 20 - stop) == expected


@pytest.mark.parametrize('before, after', [(8, 4), (4, 8), (6, 3)])
def test_a_schedule_resumed_with_another_epoch_length_continues_at_its_epoch(before, after):
    old = optimizer(0.1)
    first = by_epoch(old, before, warmup=1, end=5)
    rates(old, first, 2 * before)
    new = optimizer(0.1)
    second = by_epoch(new, after, warmup=1, end=5)
    second.go_to(2 * after)  # as the runner does after two epochs
    rates(new, second, 1)
    assert new.param_groups[0]['lr'] == pytest.approx(official(2 + 1 / after, 0.1, 1, 5), abs=1e-12)


def test_epochs_without_conversion_are_refused():
    with pytest.raises(UserError, match='needs convert_to_iter_based=True'):
        PARAM_SCHEDULERS.build(
            dict(type='WarmupCosineLR', by_epoch=True, warmup=1, end=2), default_args=dict(optimizer=optimizer())
        )


@pytest.mark.parametrize('warmup, end', [(5, 5), (6, 5), (-1, 5)])
def test_a_warm_up_that_does_not_end_before_the_schedule_is_refused(warmup, end):
    with pytest.raises(UserError, match=f'found warmup={warmup}, end={end}'):
        WarmupCosineLR(optimizer(), warmup=warmup, end=end)


def test_it_is_found_from_another_registry_scope():
    with DefaultScope.overwrite_default_scope('mmengine'):
        assert PARAM_SCHEDULERS.get('mae_transfer.WarmupCosineLR') is WarmupCosineLR
