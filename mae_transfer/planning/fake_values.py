"""What is taken where fake tensors, which have no values, are asked for one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.utils._python_dispatch import TorchDispatchMode


class FakeValues(TorchDispatchMode):
    """Where a number of Python's is made from a fake tensor (``bool(norm.isfinite())``), it is 1. Where values choose
    elements (``labels[labels != ignored]``), all are chosen: the most that there can be."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            return func(*args, **(kwargs or {}))
        except DataDependentOutputException:
            return 1
        except DynamicOutputShapeException:
            if func is not torch.ops.aten.index.Tensor:
                raise
            return func(args[0], _all_chosen(args[1]))


def _all_chosen(indices: Iterable[torch.Tensor | None]) -> list[torch.Tensor | None]:
    """Indices of a tensor with masks replaced by the numbers of all their elements."""
    chosen: list[torch.Tensor | None] = []
    for index in indices:
        if index is None or index.dtype is not torch.bool:
            chosen.append(index)
        else:
            chosen += [index.new_zeros(index.numel(), dtype=torch.int64) for _ in index.shape]
    return chosen
