"""Worker processes of data loaders, which end with the call in Python that started them.

PyTorch ends them when the iterator of a loader is deleted. After an error that is as late as the last reference to its
traceback, which a notebook keeps, and until then they hold their memory. Where Python's search for cycles deletes the
iterator, its queues are closed before it can tell the workers to end, and it waits five seconds for each of them.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch.utils.data import DataLoader

#: The loaders that started workers within the call, and their iterators.
_Started = list[tuple['weakref.ref[DataLoader]', 'weakref.ref[Any]']]
_started: ContextVar[_Started | None] = ContextVar('started', default=None)


@contextmanager
def workers_end() -> Iterator[None]:
    """End the workers that data loaders start within it. A loader that is used again starts others."""
    _install()
    before = _started.set(found := _Started())
    try:
        yield
    finally:
        _started.reset(before)
        for loader, iterator in found:
            _end(loader(), iterator())


def _end(loader: DataLoader | None, iterator: Any) -> None:
    if iterator is None:
        return
    iterator._shutdown_workers()
    if loader is not None and loader._iterator is iterator:
        loader._iterator = None


@functools.cache
def _install() -> None:
    plain = DataLoader._get_iterator

    @functools.wraps(plain)
    def noted(self: DataLoader) -> Any:
        iterator = plain(self)
        started = _started.get()
        if started is not None and self.num_workers:
            started.append((weakref.ref(self), weakref.ref(iterator)))
        return iterator

    DataLoader._get_iterator = noted  # type: ignore[method-assign]
