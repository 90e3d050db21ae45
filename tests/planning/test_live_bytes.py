"""The count of live bytes: of views, of what is freed, and of a peak between two operations."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mae_transfer.planning.fake_values import FakeValues
from mae_transfer.planning.live_bytes import LiveBytes


def steps() -> None:
    one = torch.zeros(1000)  # 4000 bytes
    two = one + 1
    view = two[:10]
    del one
    three = torch.cat([two, two])
    del two
    assert view.shape == (10,)  # keeps the whole of `two`
    del three, view


def test_bytes_are_counted_until_the_last_view_is_gone():
    for mode in (None, FakeTensorMode()):
        live = LiveBytes()
        if mode is None:
            with live:
                steps()
        else:
            with mode, live:
                steps()
        assert live.take_moments() == [4000, 8000, 12000]
        assert live.now == 0 and live.take_moments() == []


def test_what_was_there_before_is_counted_once():
    weights, live = torch.zeros(100), LiveBytes()
    assert live.count([weights, weights[:3], 'no tensor']) and live.now == 400
    assert not live.count([weights.view(10, 10)])
    with live:
        weights.add_(1)  # in place: no new tensor
    assert live.moments == []
    del weights
    assert live.now == 0


def test_the_graph_keeps_what_the_backward_pass_needs():
    weight, live = torch.randn(50, 50, requires_grad=True), LiveBytes()
    x = torch.randn(20, 50)
    live.count([weight, x])
    with live:
        before = live.now
        loss = (x @ weight).exp().sum()
        kept = live.now - before
        assert kept == 20 * 50 * 4 + 4  # the exponentials, and the loss
        loss.backward()
        assert weight.grad.untyped_storage().nbytes() == 50 * 50 * 4
    del loss
    assert live.now == before + 50 * 50 * 4


def test_fake_values_are_one_and_choose_everything():
    with FakeTensorMode(), FakeValues():
        x = torch.zeros(3, 4, 5)
        assert bool(x.sum().isfinite()) and int(x.sum().long()) == 1
        assert x[x > 0].shape == (60,)
        assert x[:, x[0] > 0].shape == (3, 20)
