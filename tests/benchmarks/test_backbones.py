"""Benchmarks of backbones: only those that compute the same are timed; memory is that of one step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mae_transfer.benchmarks import peers
from mae_transfer.benchmarks.backbones import Measurement, Setup, check_same_results, peak_memory, table_head
from mae_transfer.errors import UserError

TINY = Setup(arch='tiny', rounds=2, warm_up=1)


def change_case(monkeypatch, peer, **changes):
    """Replace fields of a peer's case: each function gets the present value and returns the new one."""
    make = peers.CASES[peer]

    def changed(*sizes):
        case = make(*sizes)
        return case._replace(**{name: function(getattr(case, name)) for name, function in changes.items()})

    monkeypatch.setitem(peers.CASES, peer, changed)


def change_weight(weights):
    with torch.no_grad():
        next(value for name, value in weights.items() if 'rel' in name and '3' in name)[0] += 0.5


def change_gradient(weights):
    next(value for name, value in weights.items() if 'rel' in name and '3' in name).register_hook(
        lambda gradient: 1.01 * gradient
    )


def stop_training(weights):
    weights.popitem()[1].requires_grad_(False)


@pytest.mark.parametrize('peer', ['vitdet', 'mmseg'])
@pytest.mark.parametrize(
    'change, words',
    [
        (None, None),
        (change_weight, 'computes something else'),
        (change_gradient, 'computes something else'),
        (stop_training, 'trains other weights'),
    ],
)
def test_only_backbones_that_compute_the_same_are_timed(peer, change, words, monkeypatch):
    def changed(build):
        def theirs():
            model = build()
            if change:
                change(dict(model.named_parameters()))
            return model

        return theirs

    change_case(monkeypatch, peer, theirs=changed)
    monkeypatch.setattr(Setup, 'run_isolated', lambda self, function, *arguments: function(*arguments))
    if change is None:
        assert check_same_results(peer, 64, TINY).startswith(f'{peer} at 64: maps differ by ')
        return
    with pytest.raises(UserError, match=words):
        check_same_results(peer, 64, TINY)


class Memory(nn.Module):
    """Needs 300 MB for a moment in its forward pass."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1000))
        torch.empty(1_000_000_000)  # 4 GB of addresses, freed before the step begins

    def forward(self, images):
        return (self.weight.sum() * torch.ones(75_000_000)[:1],)


def test_memory_is_that_of_the_weights_and_of_one_step(monkeypatch):
    change_case(monkeypatch, 'vitdet', theirs=lambda build: Memory)
    kept = [torch.ones(2_000_000) for _ in range(60)]
    del kept[:-1]  # malloc may keep this memory, as it lies below a block that is still in use
    setup = Setup('tiny', memory_limit=100)
    weights, added = setup.run_isolated(peak_memory, 'vitdet', 64, 'test', 'theirs', setup)
    assert weights == 4000 and added == pytest.approx(300e6, rel=0.02)


def test_the_table_shows_the_measurements():
    row = Measurement('vitdet', 64, 'train', dict(s=0.5, GB=1.25), dict(s=0.25, GB=2.5))
    assert row.table_row(15.0) == '| vitdet | 64 | train | 0.500 | 0.250 | 2.00 | 1.25 | 2.50 | 0.50 |'
    row.theirs.clear()
    assert (
        row.table_row(15.0).count(' | does not fit in 15 GB | ') == 2
        and row.table_row(None).count(' | does not fit | ') == 2
    )
    head, rule = table_head().splitlines()
    assert head.count('|') == rule.count('|') == row.table_row(None).count('|')


def test_sides_take_turns(monkeypatch):
    calls = []

    class Recorder(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.weight, self.name = nn.Parameter(torch.ones(1)), name

        def forward(self, images):
            calls.append(self.name)
            return (self.weight * images.sum(),)

    change_case(
        monkeypatch, 'global', ours=lambda _: lambda: Recorder('ours'), theirs=lambda _: lambda: Recorder('theirs')
    )
    row = Measurement('global', 32, 'train', dict(GB=1), dict(GB=1))
    row.measure_time(TINY)
    assert calls == ['ours', 'theirs', 'theirs', 'ours', 'ours', 'theirs']
    assert [len(side['all_s']) for side in (row.ours, row.theirs)] == [2, 2] and row.ours['s'] > 0
