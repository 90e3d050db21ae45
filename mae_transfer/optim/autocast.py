"""Mixed precision on any device."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ..errors import UserError
from ..registry import OPTIM_WRAPPERS

DTYPES = {'bfloat16': torch.bfloat16, 'float16': torch.float16, 'float32': torch.float32}


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Forward under autocast, on GPU and CPU alike (MMEngine's ``AmpOptimWrapper`` refuses a CPU).

    Args:
        dtype: 'bfloat16' (the default: long float16 runs end in NaN more often than any other way, mmpretrain#1632,
            mae#42), 'float16' (with dynamic loss scaling), or 'float32' for none.
        **kwargs: as MMEngine's ``OptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs):
        super().__init__(**kwargs)
        if dtype not in DTYPES:
            raise UserError(f"autocast dtype is one of {', '.join(DTYPES)}; found '{dtype}'")
        self.dtype = DTYPES[dtype]
        self.scaler = torch.amp.GradScaler(get_device(), enabled=self.dtype is torch.float16)

    @contextmanager
    def optim_context(self, model: nn.Module):
        """The forward pass's context: accumulation as in the base class, and autocast."""
        with super().optim_context(model):
            with torch.autocast(get_device(), self.dtype, enabled=self.dtype is not torch.float32):
                yield

    def backward(self, loss: Tensor, **kwargs) -> None:
        """Backward pass of the (scaled) loss."""
        super().backward(self.scaler.scale(loss), **kwargs)

    def step(self, **kwargs) -> None:
        """Clip, step and update the loss scale; a float16 step whose gradients are not finite is left out."""
        if self.clip_grad_kwargs:
            self.scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()

    def state_dict(self) -> dict:
        """The base class's state, and the loss scale."""
        return dict(super().state_dict(), loss_scaler=self.scaler.state_dict())

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore what :meth:`state_dict` gave, with or without a loss scale."""
        state_dict = dict(state_dict)
        if scaler := state_dict.pop('loss_scaler', None):
            self.scaler.load_state_dict(scaler)
        super().load_state_dict(state_dict)
