"""The peak memory that a training is expected to need, for any batch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS

from ..kinds import is_kind
from .fake_step import FakeStep, fake_step

_SMALL, _LARGE = 2, 4


class ExpectedMemory:
    """Peak of the bytes of all tensors that are alive in a training step, worked out on fake tensors.

    A step makes the same tensors for any batch, so that the bytes at each moment of it are a number for the model and
    one for each image. Both follow from two small batches, and the peak of any batch is the largest moment. (Attention
    with relative positions works in tiles, which stop to grow: there a large batch is estimated too high.)

    Not counted: what kernels use inside (cuBLAS' workspace, the accumulator of flash attention's backward pass), what
    the allocator loses to fragments, the context of CUDA, about half a GB, and evaluation. Leave a margin.
    Of a detector backbone and pyramid count, and the weights of its heads, but not the heads' activations.

    Args:
        cfg: a config that trains.
        device: 'cuda' or 'cpu': by whose kernels.

    Raises:
        UserError: as :func:`~mae_transfer.planning.fake_step.fake_step`.
    """

    def __init__(self, cfg: Config, device: str):
        self._cfg, self._device = cfg, device
        self._step = lru_cache(maxsize=None)(lambda batch: fake_step(cfg, batch, device))

    @property
    def weights(self) -> int:
        """Bytes of parameters and buffers."""
        return self._step(_SMALL).weights

    @property
    def gradients(self) -> int:
        """Bytes of the gradients of all trained parameters."""
        return self._step(_SMALL).gradients

    @property
    def state(self) -> int:
        """Bytes of the optimiser's state."""
        return self._step(_SMALL).state

    def peak(self, batch: int, accumulates: bool = False, processes: int = 1) -> int:
        """Bytes.

        Args:
            batch: images of a forward pass.
            accumulates: whether a step of the optimiser has several of them.
            processes: that train together: DDP copies the gradients into its own buckets.
        """
        small, large = self._step(_SMALL), self._step(_LARGE)
        peak = max(
            _at(batch, *(step.later_pass if accumulates else step.first_pass for step in (small, large))),
            _at(batch, small.update, large.update),
        )
        return peak + self._buckets(processes, small) + self._averages(small)

    def _buckets(self, processes: int, step: FakeStep) -> int:
        wrapper = self._cfg.get('model_wrapper_cfg') or {}
        return 0 if processes == 1 or wrapper.get('gradient_as_bucket_view') else step.gradients

    def _averages(self, step: FakeStep) -> int:
        """Bytes of moving averages of the weights."""
        hooks = [*(self._cfg.get('default_hooks') or {}).values(), *(self._cfg.get('custom_hooks') or [])]
        scope = self._cfg.get('default_scope')
        return step.weights * sum(is_kind(hook, HOOKS, scope, EMAHook) for hook in hooks)


def _at(batch: int, small: list[int], large: list[int]) -> int:
    """The largest of some moments at a batch, from those at :data:`_SMALL` and :data:`_LARGE`."""
    one, other = np.array(small), np.array(large)
    if one.shape != other.shape:
        raise RuntimeError(f'a step of {_SMALL} images makes {len(one)} tensors, one of {_LARGE} images {len(other)}')
    return int((one + (batch - _SMALL) * (other - one) / (_LARGE - _SMALL)).max())
