"""Requests of any process that all processes follow at the same step."""

from __future__ import annotations

import torch
from torch import distributed


class Agreement:
    """Numbers that processes ask for, combined by their maximum.

    Every process calls :meth:`__call__` once a step. What comes back is the largest number of the step before: its
    exchange goes on during the step, over gloo, so that neither processes nor GPUs are waited for. Of one process it is
    the number itself.
    """

    def __init__(self) -> None:
        self._group = None
        self._sent: tuple[distributed.Work, torch.Tensor] | None = None
        if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
            self._group = distributed.new_group(backend='gloo')

    def __call__(self, request: int) -> int:
        """Ask for ``request``; returns what all processes follow now, 0 for nothing."""
        if self._group is None:
            return request
        agreed = 0
        if self._sent is not None:
            work, number = self._sent
            work.wait()
            agreed = int(number)
        number = torch.tensor(request)  # on the CPU
        self._sent = distributed.all_reduce(number, distributed.ReduceOp.MAX, self._group, async_op=True), number
        return agreed

    def wait_for_all(self) -> None:
        """Wait until every process has come here."""
        if self._group is not None:
            distributed.barrier(self._group)
