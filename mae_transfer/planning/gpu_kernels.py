"""Have a step on a CPU's fake tensors call the operations that it would call on a GPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

#: Functions whose inputs autocast turns into float32 on CUDA, but not on a CPU ("CUDA Ops that can autocast to
#: float32" in PyTorch's documentation of torch.amp), by their names.
_FLOAT32 = {
    *('binary_cross_entropy_with_logits', 'cosine_similarity', 'cross_entropy', 'cumsum', 'cumprod', 'exp', 'expm1'),
    *('group_norm', 'kl_div', 'l1_loss', 'layer_norm', 'log', 'log10', 'log1p', 'log2', 'log_softmax', 'mse_loss'),
    *('nll_loss', 'norm', 'normalize', 'pow', '__pow__', 'prod', 'reciprocal', 'rsqrt', 'smooth_l1_loss', 'softmax'),
    *('softplus', 'sum'),
}
_IS_CUDA: Any = vars(torch._C.TensorBase)['is_cuda'].__get__
_LOW = (torch.bfloat16, torch.float16)
#: The widest heads of flash attention.
_FLASH_WIDTH = 256


class GPUKernels(TorchFunctionMode):
    """What differs on a GPU in memory, as far as a step's own operations show it:

    - fused attention is flash attention, or the memory-efficient kernel in float32 and with a mask. Both store the
      logarithm of a query's sum, as the CPU's kernel does;
    - autocast computes losses and norms in float32;
    - our own code that asks a tensor whether it is on a GPU hears yes.

    (PyTorch 2.11 cannot run a backward pass on fake tensors of a GPU where there is none.)
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func == _IS_CUDA:
            return True
        if func is F.scaled_dot_product_attention:
            return _attend(*args, **kwargs)
        if getattr(func, '__name__', None) in _FLOAT32 and torch.is_autocast_enabled('cpu'):
            args, kwargs = tree_map(_in_float32, (args, kwargs))
        return func(*args, **kwargs)


def _in_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in _LOW else value


def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """PyTorch's ``scaled_dot_product_attention`` by the kernel of a GPU."""
    if torch.is_autocast_enabled('cpu'):
        q, k, v = (part.to(torch.get_autocast_dtype('cpu')) for part in (q, k, v))
    if q.dtype in _LOW and attn_mask is None and q.shape[-1] <= _FLASH_WIDTH:
        return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, dropout_p, is_causal, scale=scale)[0]
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        q, k, v, attn_mask, torch.is_grad_enabled(), dropout_p, is_causal, scale=scale
    )[0]
