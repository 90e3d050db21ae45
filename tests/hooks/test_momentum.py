"""The momentum of a momentum encoder during training."""

from __future__ import annotations

import math
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from mmengine.optim import OptimWrapper

from mae_transfer.errors import UserError
from mae_transfer.hooks import MomentumHook


def official(epoch: float, epochs: int, start: float) -> float:
    """The value of main_moco.py's --moco-m-cos at a fractional epoch."""
    return 1 - 0.5 * (1 + math.cos(math.pi * epoch / epochs)) * (1 - start)


def moves(hook: MomentumHook, iterations: int, accumulation: int = 1, first: int = 0) -> tuple[list, list[str]]:
    """(iteration, momentum) of each move of the averages in a run, and what is logged.

    The wrapper is MMEngine's, stepped as its loops do."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([parameter], lr=0.1), accumulative_counts=accumulation)
    wrapper.initialize_count_status(torch.nn.Module(), first, iterations)
    moved, runner = [], Mock(optim_wrapper=wrapper, max_iters=iterations)
    runner.model = SimpleNamespace(update_momentum_encoder=lambda momentum: moved.append((runner.iter, momentum)))
    for iteration in range(first, iterations):
        runner.iter = iteration
        hook.before_train_iter(runner, iteration, dict(inputs=torch.zeros(4, 2, 3, 8, 8)))
        wrapper.update_params((parameter * 1.0).sum())
    return moved, [call.args[0] for call in runner.logger.warning.call_args_list]


@pytest.mark.parametrize('start', [0.99, 0.996])
def test_the_momentum_is_the_official_one_at_every_iteration(start):
    epochs, length = 5, 8
    moved, said = moves(MomentumHook(start), epochs * length)
    assert [iteration for iteration, _ in moved] == list(range(epochs * length))
    for iteration, momentum in moved:
        assert momentum == pytest.approx(official(iteration / length, epochs, start), abs=1e-12)
    assert moved[0][1] == start and not said
    assert MomentumHook(start).momentum(1) == 1


def test_accumulated_passes_move_the_averages_once_for_each_step_and_the_log_says_what_is_compared():
    moved, said = moves(MomentumHook(), 24, accumulation=4)
    assert [iteration for iteration, _ in moved] == [0, 4, 8, 12, 16, 20]
    assert [momentum for _, momentum in moved] == [pytest.approx(official(i, 24, 0.99)) for i, _ in moved]
    assert len(said) == 1 and 'compared with the 4 of one forward pass' in said[0]


@pytest.mark.parametrize('accumulation', [1, 4])
def test_a_resumed_run_moves_the_averages_as_a_whole_one(accumulation):
    whole, _ = moves(MomentumHook(), 24, accumulation)
    rest, _ = moves(MomentumHook(), 24, accumulation, first=8)
    assert rest == [move for move in whole if move[0] >= 8]


@pytest.mark.parametrize('settings', [dict(start=-0.1), dict(start=0.9, end=0.8), dict(end=1.1)])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(UserError, match='MomentumHook takes 0 <= start <= end <= 1; found start='):
        MomentumHook(**settings)
