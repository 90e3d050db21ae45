"""The memory that a computation adds at its peak, on a CPU and on a GPU."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from .processes import memory_status


def peak_of(function: Callable[[], object], device: str) -> int:
    """Bytes that a call adds at its peak to what is in use before.

    On a GPU as PyTorch counts it; on a CPU as the growth of this process's resident memory, which must hold nothing
    but what the call needs: call it in a new process that has computed something small before, because the first
    computation also loads code and allocates the libraries' buffers.
    """
    gc.collect()
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    # glibc keeps freed memory, and the call would use it unnoticed: return it first. Other C libraries lack this.
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    # Reset the recorded peak. Where that is not permitted, what came before must not have been the peak.
    with contextlib.suppress(OSError):
        Path('/proc/self/clear_refs').write_text('5')
    before = memory_status()['VmRSS']
    function()
    # Linux updates these counters in batches: a call that needs almost nothing can give a negative difference.
    return max(0, memory_status()['VmHWM'] - before)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors, such as parameters and buffers."""
    return sum(value.nbytes for value in tensors)
