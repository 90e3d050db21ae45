"""The time of a step is cut where another part begins, forward and backward."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from mae_transfer.benchmarks.part_clock import PartClock, Span


class Slow(torch.autograd.Function):
    """The identity, which takes so many seconds forward and backward."""

    @staticmethod
    def forward(ctx, values, forward, backward):
        ctx.backward = backward
        time.sleep(forward)
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(ctx.backward)
        return gradient, None, None


class Layer(nn.Module):
    """Seconds forward and backward; with another layer within it."""

    def __init__(self, forward, backward, inner=None):
        super().__init__()
        self.seconds, self.inner = (forward, backward), inner

    def forward(self, values):
        values = Slow.apply(values, *self.seconds)
        if self.inner:
            values = self.inner(values)
        return dict(maps=[values, None], name='values') if self.inner else values


def test_each_part_has_its_own_time_in_both_passes():
    inner = Layer(0.03, 0.06)
    outer, branch = Layer(0.02, 0.04, inner), Layer(0.01, 0.05)
    clock = PartClock('cpu')
    for owner, part in ((outer, 'outer'), (inner, 'inner'), (branch, 'branch')):
        clock.watch(owner, 'forward', part)
    values = torch.ones(3, requires_grad=True)

    def step():
        total = (outer(values)['maps'][0] * branch(values)).sum()
        total = Slow.apply(total, 0.015, 0.025)
        with clock.part('rest', 'backward'):
            total.backward()
        with clock.part('optimiser'):
            time.sleep(0.02)

    expected = {
        ('outer', 'forward'): 0.02,
        ('outer', 'backward'): 0.04,
        ('inner', 'forward'): 0.03,
        ('inner', 'backward'): 0.06,
        ('branch', 'forward'): 0.01,
        ('branch', 'backward'): 0.05,
        ('rest', 'forward'): 0.015,
        ('rest', 'backward'): 0.025,
        ('optimiser', 'forward'): 0.02,
    }
    for _ in range(2):  # every step has a graph of its own
        start = time.perf_counter()
        seconds = clock.measure(step)
        whole = time.perf_counter() - start
        assert seconds.keys() == {Span(*key) for key in expected}
        for key, value in expected.items():
            assert value <= seconds[key] < value + 0.1  # a busy machine sleeps longer
        assert sum(seconds.values()) == pytest.approx(whole, abs=5e-3)
    assert torch.equal(values.grad, torch.full((3,), 4.0))  # 2 for each step: nothing is changed


def test_outside_of_a_step_nothing_is_counted():
    layer, clock = Layer(0, 0), PartClock('cpu')
    clock.watch(layer, 'forward', 'layer')
    assert 'part' not in layer(torch.ones(3, requires_grad=True)).grad_fn.metadata
    assert clock.measure(lambda: None).keys() == {Span('rest', 'forward')}


def test_cpu_time_does_not_count_waiting():
    clock = PartClock('cpu', time.process_time)
    assert clock.measure(lambda: time.sleep(0.1))[Span('rest', 'forward')] < 0.05


def test_an_error_ends_the_step():
    clock = PartClock('cpu')
    with pytest.raises(ZeroDivisionError):
        clock.measure(lambda: 1 / 0)
    assert clock.measure(lambda: None).keys() == {Span('rest', 'forward')}
