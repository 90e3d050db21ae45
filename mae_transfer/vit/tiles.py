"""Computations that go tile by tile, on tensors that have no values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_only_first_tile: ContextVar[bool] = ContextVar('_only_first_tile', default=False)


@contextmanager
def first_tile_only() -> Iterator[None]:
    """Within it only the first tile is computed, so that results are wrong: for fake tensors, which have no values. All
    tiles use the same memory."""
    token = _only_first_tile.set(True)
    try:
        yield
    finally:
        _only_first_tile.reset(token)


def only_first_tile() -> bool:
    """Whether the rest of the tiles is left out."""
    return _only_first_tile.get()
