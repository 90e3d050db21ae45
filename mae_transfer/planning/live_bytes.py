"""The bytes of all tensors that are alive, operation by operation."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Count the bytes of every storage that an operation makes, until it is freed; on real and on fake tensors.

    It sees what goes through PyTorch's dispatcher, forward, backward and optimiser alike. It does not see the working
    memory inside of a kernel, such as cuBLAS' workspace.

    Attributes:
        now: bytes that are alive.
        moments: bytes that were alive after each operation that made a tensor: there are as many for any batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.moments: list[int] = []
        self._storages: dict[int, weakref.ref] = {}

    def count(self, values: Iterable[Any]) -> bool:
        """Count the tensors among some values; for those that no operation made, such as weights.

        Returns:
            Whether there was one that is no view of a tensor that was counted before.
        """
        before = len(self._storages)
        for value in values:
            if isinstance(value, torch.Tensor):
                self._add(value.untyped_storage())
        return len(self._storages) > before

    def take_moments(self) -> list[int]:
        """The moments since the last call."""
        moments, self.moments = self.moments, []
        return moments

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._storages:
            return

        def freed(_: weakref.ref) -> None:
            self.now -= size
            del self._storages[key]

        self.now += size
        self._storages[key] = weakref.ref(storage, freed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.count(tree_leaves(out)):
            self.moments.append(self.now)
        return out
