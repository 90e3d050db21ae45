"""Numbers of a step that are read later, without making the host wait for the GPU within the step."""

from __future__ import annotations

import torch
from torch import Tensor


class HostCopy:
    """A copy of a number on the host. On a GPU it is on its way while the host goes on.

    Args:
        value: a tensor of one element.

    Attributes:
        is_there: whether it can be read at once; the same for all processes of a run.
    """

    def __init__(self, value: Tensor) -> None:
        self.is_there = not value.is_cuda
        self._value = value.detach().reshape(()).clone()
        if value.is_cuda:
            self._value = torch.empty((), dtype=value.dtype, pin_memory=True)
            self._value.copy_(value.detach().reshape(()), non_blocking=True)
            self._arrival = torch.cuda.Event()
            self._arrival.record()

    def read(self) -> float:
        """The number. Waits for what the GPU had been told until the copy was made, and for nothing after it."""
        if not self.is_there:
            self._arrival.synchronize()
        return float(self._value)
