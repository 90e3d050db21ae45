"""Workers of data loaders end with the call that started them."""

from __future__ import annotations

import gc
import time

import pytest
import torch
from torch.utils.data import DataLoader

from mae_transfer.calls import python_call
from mae_transfer.compat.worker_processes import workers_end


def loader(persistent: bool = False) -> DataLoader:
    return DataLoader(torch.arange(40.0), batch_size=2, num_workers=2, persistent_workers=persistent)


def workers_of(iterator) -> list[int]:
    return [worker.pid for worker in iterator._workers if worker.is_alive()]


@pytest.mark.parametrize('persistent', [False, True])
def test_workers_of_a_loop_that_fails_end_while_its_traceback_is_kept(persistent):
    def loop():
        iterator = iter(loader(persistent))
        kept.append(iterator)
        next(iterator)
        assert len(workers_of(iterator)) == 2
        raise KeyError

    kept = []
    began = time.monotonic()
    with pytest.raises(KeyError), workers_end():
        loop()
    assert not workers_of(kept[0])
    kept.clear()
    gc.collect()
    assert time.monotonic() - began < 5, 'PyTorch waited for a worker'


def test_a_loader_that_is_kept_starts_workers_again():
    kept = loader(persistent=True)
    with workers_end():
        first = [batch.tolist() for batch in kept]
    assert kept._iterator is None
    with workers_end():
        assert [batch.tolist() for batch in kept] == first and len(first) == 20
        assert len(workers_of(kept._iterator)) == 2


def test_loaders_of_others_are_left_alone():
    own = iter(loader())
    next(own)
    with workers_end():
        inner = iter(loader())
        with workers_end():
            innermost = iter(loader())
        assert not workers_of(innermost) and len(workers_of(inner)) == 2
    assert not workers_of(inner) and len(workers_of(own)) == 2
    assert len([*own]) == 19
    outside = iter(loader())
    assert len(workers_of(outside)) == 2 and len([*outside]) == 20


def test_a_loader_without_workers_is_none_of_it():
    with workers_end():
        assert len([*DataLoader(torch.arange(4.0))]) == 4


def test_a_call_in_python_leaves_no_worker():
    @python_call
    def call(*, verbose: bool = False) -> list:
        """What it says."""
        iterator = iter(loader(persistent=True))
        return [iterator, next(iterator)]

    iterator, batch = call(verbose=True)
    assert batch.tolist() == [0, 1] and not workers_of(iterator) and call.__doc__ == 'What it says.'
