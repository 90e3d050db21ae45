"""Mixed precision on any device, and steps that are left out because they are not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ..errors import UserError
from ..registry import OPTIM_WRAPPERS
from ..sharding.shards import whole

DTYPES = {'bfloat16': torch.bfloat16, 'float16': torch.float16, 'float32': torch.float32}


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Run the forward pass under autocast, on GPU and CPU (MMEngine's ``AmpOptimWrapper`` refuses a CPU).

    Args:
        dtype: 'bfloat16' (the default, because long float16 runs tend to end in NaN: mmpretrain#1632, mae#42);
            'float16', with dynamic loss scaling; or 'float32', without autocast.
        **kwargs: those of MMEngine's ``OptimWrapper``: ``optimizer``, ``accumulative_counts``, ``clip_grad``.

    Attributes:
        grad_norm: norm of the gradients of all parameters in the last step, before they were clipped: the 2-norm,
            unless ``clip_grad`` has another ``norm_type``.
        is_skipped: whether that was not finite, and the step was left out: a tensor on the device, so that the host
            need not wait for the step.
        before_step: called before each step of the optimiser.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs: Any):
        super().__init__(**kwargs)
        if dtype not in DTYPES:
            raise UserError(f"autocast dtype is one of {', '.join(DTYPES)}; found '{dtype}'")
        self.dtype = DTYPES[dtype]
        self.scaler = torch.amp.GradScaler(get_device(), enabled=self.dtype is torch.float16)
        self.grad_norm: Tensor | None = None
        self.is_skipped = torch.tensor(False)
        self.before_step: Callable[[], None] = lambda: None

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Context of the forward pass: accumulation as in the base class, and autocast."""
        with super().optim_context(model):
            with torch.autocast(get_device(), self.dtype, enabled=self.dtype is not torch.float32):
                yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Run the backward pass of the scaled loss; only float16 is scaled."""
        super().backward(self.scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        """Clip, step and update the loss scale. Without a step if the norm of all gradients is not finite.

        The gradients are those of all processes together, so all come to the same result. A fused optimiser finds it
        on the device; for others the host waits for the norm.
        """
        self.before_step()
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group['params']]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        self.scaler.unscale_(self.optimizer)
        clip = dict(self.clip_grad_kwargs or {})
        by_norm = self.clip_func is nn.utils.clip_grad_norm_ if clip else False
        self.grad_norm = whole(nn.utils.get_total_norm(gradients, clip.get('norm_type', 2.0) if by_norm else 2.0))
        self.is_skipped = ~self.grad_norm.isfinite()
        if by_norm:
            nn.utils.clip_grads_with_norm_(parameters, clip['max_norm'], self.grad_norm)
        elif clip:
            self.clip_func(parameters, **clip)
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer, **kwargs)  # which finds the same by itself
        elif all(group.get('fused') for group in self.optimizer.param_groups):
            # What GradScaler gives a fused optimiser.
            self.optimizer.found_inf, self.optimizer.grad_scale = self.is_skipped.float(), None
            self.optimizer.step(**kwargs)
        elif not self.is_skipped:
            self.optimizer.step(**kwargs)
        self.scaler.update()

    @property
    def is_searching_scale(self) -> bool:
        """Whether a step may be left out because float16's loss scale is still too high, which is no fault."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > 1

    def state_dict(self) -> dict:
        """The state of the base class, and the loss scale."""
        return dict(super().state_dict(), loss_scaler=self.scaler.state_dict())

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore a state of :meth:`state_dict`, or of another wrapper, which has no loss scale."""
        state_dict = dict(state_dict)
        if scaler := state_dict.pop('loss_scaler', None):
            self.scaler.load_state_dict(scaler)
        super().load_state_dict(state_dict)
