"""How fast a training is: time that it waits for data, FLOPs of a step, and the rate of matrix products."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

Batch = TypeVar('Batch')
_END: Any = object()


class WaitingTime:
    """How long training waits for batches.

    On a GPU it is the time in which the GPU had nothing to do meanwhile, by events in its stream, which nothing waits
    for: a batch that comes while the GPU still computes costs nothing. Elsewhere it is the time of the process.

    Args:
        device: where training computes.
    """

    def __init__(self, device: str | torch.device) -> None:
        self._on_gpu = torch.device(device).type == 'cuda'
        self._seconds = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, with the time that each is waited for."""
        batches = iter(batches)
        while True:
            with self._measured():
                batch = next(batches, _END)
            if batch is _END:
                return
            yield batch

    def take(self) -> float:
        """Seconds since it was last asked. On a GPU it waits for the last batch's turn."""
        events, self._events = self._events, []
        if events:
            events[-1][1].synchronize()
        seconds = self._seconds + sum(begin.elapsed_time(end) for begin, end in events) / 1000
        self._seconds = 0.0
        return seconds

    @contextmanager
    def _measured(self) -> Iterator[None]:
        if self._on_gpu:
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            yield
            end.record()
            self._events.append((begin, end))
        else:
            started = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - started


def _attention_on_cpu(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query.shape, key.shape, value.shape)


def _attention_on_cpu_backward(gradient: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(gradient.shape, query.shape, key.shape, value.shape)


#: What torch's counter knows, and attention on the CPU, which it does not (2.11).
_FORMULAS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_on_cpu,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_on_cpu_backward,
    **flop_registry,
}


class FlopCount(TorchDispatchMode):
    """Counts the FLOPs of matrix products, attention and convolutions within a ``with`` block, backward passes too.

    A multiply-add counts as two; everything else as nothing. The formulas are those of torch's ``FlopCounterMode``,
    which also puts hooks on all modules to tell them apart.

    Attributes:
        flops: so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Compute, and count."""
        result = func(*args, **(kwargs or {}))
        if formula := _FORMULAS.get(func._overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result


@lru_cache
def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """FLOP/s of a product of two square matrices, large enough to take some milliseconds, the best of several.

    It takes some tenths of a second.
    """
    size = 256
    # One product alone may meet a moment in which other programs have the cores.
    while (seconds := min(_product_seconds(device, dtype, size, 1) for _ in range(5))) < 0.004 and size < 8192:
        size *= 2
    repeats = max(1, min(50, int(0.02 / seconds)))
    best = min(seconds, *(_product_seconds(device, dtype, size, repeats) for _ in range(3)))
    if torch.device(device).type == 'cuda':
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return 2 * size**3 / best


def _product_seconds(device: str, dtype: torch.dtype, size: int, repeats: int) -> float:
    """Seconds of one product."""
    # Random, because a GPU computes faster with zeros; of a generator of its own.
    generator = torch.Generator(device).manual_seed(0)
    one, other = (torch.randn(size, size, device=device, generator=generator).to(dtype) for _ in range(2))
    result = one @ other
    _wait(result)
    started = time.perf_counter()
    for _ in range(repeats):
        torch.mm(one, other, out=result)
    _wait(result)
    return (time.perf_counter() - started) / repeats


def _wait(tensor: torch.Tensor) -> None:
    tensor[0, 0].item()


def peak_memory() -> int:
    """The most memory that this process had at a time, in MB (2**20 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # kB on Linux
