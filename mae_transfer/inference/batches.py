"""Images of one size in one batch, in nearly the order in which they come."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar('Item')

#: How many batches later than an item a batch may be that it waits for others of its size.
_MOST_BATCHES_LATE = 4


def by_size(items: Iterable[Item], size: Callable[[Item], Hashable], batch_size: int) -> Iterator[list[Item]]:
    """Batches of up to ``batch_size`` items of one size.

    An item waits for others of its size until ``4 * batch_size`` others have come after it, so that results come in
    nearly the order of the items, and few items are in memory.
    """
    waiting: dict[Hashable, list[tuple[int, Item]]] = {}  # the batch of the oldest item first
    for number, item in enumerate(items):
        key = size(item)
        waiting.setdefault(key, []).append((number, item))
        if len(waiting[key]) == batch_size:
            yield [other for _, other in waiting.pop(key)]
        while waiting and number - next(iter(waiting.values()))[0][0] >= _MOST_BATCHES_LATE * batch_size:
            yield [other for _, other in waiting.pop(next(iter(waiting)))]
    for batch in waiting.values():
        yield [other for _, other in batch]
