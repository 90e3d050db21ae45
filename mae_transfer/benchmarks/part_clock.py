"""Which part of a model computes when: one line of time through a training step, cut where another part begins."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import Node


class Span(NamedTuple):
    """A part in one of its passes: 'forward' or 'backward'."""

    part: str
    phase: str


class PartClock:
    """Measures the time of the parts of a training step; a part within another one counts for itself alone.

    Forward, a part is a method that :meth:`watch` replaces. Backward, it is the nodes of autograd's graph that were
    made while the part was the innermost one: what is reached from a method's results, and was not there when it was
    called. A hook before each of these nodes says whose turn it is. Hooks of modules would not tell: they see
    only what is called as a module, which the losses of heads are not, and branches take turns in the backward pass.
    What runs in a node, such as a block that is computed again, counts for the node's part; what is in no part is
    ``rest``.

    On a GPU, times are between events in the stream of the computation, so nothing waits for it.

    Args:
        device: 'cpu' or 'cuda'.
        clock: seconds on a CPU: ``time.process_time`` counts what this process computes, with one thread on a machine
            that others use, too.
    """

    def __init__(self, device: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self.device = device
        self._clock = clock
        self._now = Span('rest', 'forward')
        self._marks: list[tuple[Span, Any]] = []
        self._is_running = False

    def watch(self, owner: Any, method: str, part: str) -> None:
        """Count each call of ``owner.method`` as ``part``."""
        inner = getattr(owner, method)

        @functools.wraps(inner)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if not self._is_running:
                return inner(*args, **kwargs)
            self._claim([args, kwargs], self._now.part)
            with self.part(part):
                result = inner(*args, **kwargs)
                self._claim(result, part)
            return result

        setattr(owner, method, watched)

    @contextmanager
    def part(self, name: str, phase: str = 'forward') -> Iterator[None]:
        """Count the block as a part; in the backward pass, its nodes' parts interrupt it."""
        before = self._now
        self._switch(Span(name, phase))
        yield
        self._switch(before)

    def measure(self, step: Callable[[], None]) -> dict[Span, float]:
        """The seconds of each part of ``step()``."""
        self._marks, self._now, self._is_running = [], Span('rest', 'forward'), True
        self._mark()
        try:
            step()
        finally:
            self._is_running = False
        self._mark()
        if self.device == 'cuda':
            torch.cuda.synchronize()
        seconds: dict[Span, float] = defaultdict(float)
        for (span, start), (_, end) in zip(self._marks, self._marks[1:]):
            seconds[span] += start.elapsed_time(end) / 1000 if self.device == 'cuda' else end - start
        return dict(seconds)

    def _switch(self, span: Span) -> None:
        if self._is_running and span != self._now:
            self._now = span
            self._mark()

    def _mark(self) -> None:
        mark: Any = self._clock()
        if self.device == 'cuda':
            mark = torch.cuda.Event(enable_timing=True)
            mark.record()
        self._marks.append((self._now, mark))

    def _claim(self, value: Any, part: str) -> None:
        """Give all nodes that a value depends on, and that have no part yet, to a part."""
        nodes: list[Node | None] = [tensor.grad_fn for tensor in _tensors(value)]
        span = Span(part, 'backward')
        while nodes:
            node = nodes.pop()
            metadata: Any = node.metadata if node else None
            if node is None or 'part' in metadata:
                continue
            metadata['part'] = part
            node.register_prehook(lambda _: self._switch(span))
            nodes += [before for before, _ in node.next_functions]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(inner)
