"""Values that are handed over together are those that were handed over one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

from mae_transfer.runs import deferred_scalars
from mae_transfer.runs.deferred_scalars import DeferredScalars

TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)


def history(hub: MessageHub) -> dict[str, list[float]]:
    """All values of a message hub."""
    return {name: buffer.data[0].tolist() for name, buffer in hub.log_scalars.items()}


@pytest.mark.parametrize('seed', range(5))
def test_the_hub_has_what_it_has_without_waiting(seed):
    rng = np.random.default_rng(seed)
    hub, wanted = MessageHub('deferred'), MessageHub('at_once')
    deferred = DeferredScalars(hub)
    for _ in range(30):
        names = rng.choice(['train/loss', 'train/a', 'train/b'], rng.integers(0, 4), replace=False).tolist()
        scalars = {name: torch.tensor(rng.normal() * 1e3).to(TYPES[rng.integers(len(TYPES))]) for name in names}
        deferred.add(scalars, average=bool(rng.integers(2)))
        for name, value in scalars.items():
            wanted.update_scalar(name, value)
        if rng.random() < 0.2:
            deferred.settle()
    deferred.settle()
    assert history(hub) == history(wanted)


def test_a_value_is_that_of_its_step_even_if_it_changes_later():
    hub, temperature = MessageHub('change'), torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    deferred = DeferredScalars(hub)
    for _ in range(3):
        deferred.add({'train/temperature': temperature})
        with torch.no_grad():
            temperature.mul_(2)
    assert not hub.log_scalars
    deferred.settle()
    assert history(hub) == {'train/temperature': [1, 2, 4]}


def test_the_values_of_many_steps_are_averaged_by_one_reduction(monkeypatch):
    sizes = []
    monkeypatch.setattr(deferred_scalars, 'get_world_size', lambda: 2)
    monkeypatch.setattr(deferred_scalars, 'all_reduce', lambda values, op: sizes.append(len(values)) or values.add_(1))
    hub = MessageHub('reduction')
    deferred = DeferredScalars(hub)
    for step in range(4):
        deferred.add({'train/a': torch.tensor(step), 'train/b': torch.tensor(-step)}, average=True)
        deferred.add({'train/norm': torch.tensor(0.5)})
    deferred.settle()
    deferred.settle()
    assert sizes == [8]
    assert history(hub) == {'train/a': [1, 2, 3, 4], 'train/b': [1, 0, -1, -2], 'train/norm': [0.5] * 4}


def test_values_do_not_pile_up_and_need_not_wait():
    hub = MessageHub('many')
    deferred = DeferredScalars(hub)
    for step in range(2500):
        deferred.add({'train/loss': torch.tensor(step)})
    assert history(hub) == {'train/loss': list(range(2000))}
    DeferredScalars(hub, waits=False).add({'train/own': torch.tensor(1)})
    assert history(hub)['train/own'] == [1]
