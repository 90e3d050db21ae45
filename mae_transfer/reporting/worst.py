"""The worst of many items, of which few are in memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Item = TypeVar('Item')


class Worst(Generic[Item]):
    """Keeps the items that are worst, of any number.

    Args:
        count: how many are kept, 0 or more.
    """

    def __init__(self, count: int) -> None:
        self.count, self._seen = count, 0
        self._heap: list[tuple[Any, int, Item]] = []  # the best of the kept ones first

    def add(self, badness: Any, make: Callable[[], Item]) -> None:
        """Look at an item.

        Args:
            badness: how bad it is: a number, or a tuple of numbers. Of equally bad items the first ones are kept.
            make: makes the item, if it is kept.
        """
        self._seen += 1
        if len(self._heap) < self.count:
            heapq.heappush(self._heap, (badness, -self._seen, make()))
        elif self._heap and badness > self._heap[0][0]:
            heapq.heapreplace(self._heap, (badness, -self._seen, make()))

    def items(self) -> list[Item]:
        """The kept items, the worst first; equally bad ones in the order in which they came."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
