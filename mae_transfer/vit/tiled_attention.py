"""Attention with a bias that is never stored: computed tile by tile, and again in the backward pass.

In addition to its inputs and output it stores one number for each query, the logarithm of its sum of exponentials (Rabe
and Staats 2021, "Self-attention does not need O(n^2) memory"; Dao 2022, "FlashAttention"). PyTorch's fused kernels
accept only the bias of all pairs, and on a CPU only one without a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .tiles import only_first_tile

#: Indices of images, heads and queries.
Tile = tuple[slice, slice, slice]

#: Scores in a tile: on a CPU as many as a core's cache holds; on a GPU enough to keep it busy (512 MiB of float32).
_SCORES = dict(cpu=2**18, cuda=2**27)
_LEAST_QUERIES = 64  # fewer rows make slow matrix products

#: Whether ``torch.export`` runs; PyTorch before 2.7 cannot say so.
_is_exporting = getattr(torch.compiler, 'is_exporting', lambda: False)


class Bias(Protocol):
    """A bias that is added to the scores, computed on demand from ``tensors``."""

    def add_bias(self, scores: Tensor, tensors: tuple[Tensor, ...], tile: Tile) -> None:
        """Add the bias of a tile, in place, to its scores (b, h, n, N)."""

    def add_gradient(self, scores_grad: Tensor, grads: tuple[Tensor, ...], tile: Tile) -> None:
        """Add what the gradient of a tile's scores contributes, in place, to the gradients of ``tensors``."""

    def whole(self, tensors: tuple[Tensor, ...]) -> Tensor:
        """The bias of all pairs, (B or 1, heads, N, N), without loops and writes in place, which a trace would keep as
        they were for the example."""


def tiled_attention(q: Tensor, k: Tensor, v: Tensor, bias: Bias, *tensors: Tensor) -> Tensor:
    """``softmax(q k^T / sqrt(d) + bias) v`` of (B, heads, N, d), and its gradients, in memory proportional to N.

    Exponentials and the gradients of ``tensors`` are computed in float32 (float64 for float64 inputs), matrix products
    in the dtype of ``q``. A model that is exported or traced has no tiles, whose number would be that of the example's
    images: all scores at once.
    """
    if _is_exporting() or torch.jit.is_tracing():
        return _whole_attention(q, k, v, bias, *tensors)
    return _TiledAttention.apply(bias, q, k, v, *tensors)


def _whole_attention(q: Tensor, k: Tensor, v: Tensor, bias: Bias, *tensors: Tensor) -> Tensor:
    """The same with the scores of all pairs stored."""
    exact = torch.promote_types(q.dtype, torch.float32)
    scores = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).to(exact)  # ONNX has no ``mT``
    return (scores + bias.whole(tensors)).softmax(-1).to(v.dtype) @ v


def _tiles(q: Tensor) -> Iterator[Tile]:
    """Divide (B, heads, N, d) into tiles of images, heads and queries; several images only if all their heads fit."""
    batch, heads, length, _ = q.shape
    budget = _SCORES['cuda' if q.is_cuda else 'cpu']
    queries = min(length, max(_LEAST_QUERIES, budget // length))
    if not q.is_cuda:
        budget *= torch.get_num_threads()  # each thread computes a head
    some_heads = min(heads, max(1, budget // (queries * length)))
    images = max(1, budget // (queries * length * heads))
    for b in range(0, batch, images):
        for h in range(0, heads, some_heads):
            for n in range(0, length, queries):
                yield slice(b, b + images), slice(h, h + some_heads), slice(n, min(n + queries, length))
                if only_first_tile():
                    return


def _score_buffer(q: Tensor, dtype: torch.dtype) -> Tensor:
    """Memory for the scores of the largest tile, reused by all: new pages for each would take as long as its matrix
    products."""
    b, h, n = (min(part.stop, size) - part.start for part, size in zip(next(_tiles(q)), q.shape))
    return q.new_empty(b * h * n * q.shape[2], dtype=dtype)


def _multiply(one: Tensor, other: Tensor, buffer: Tensor) -> Tensor:
    """The matrix product, written into ``buffer`` and in its dtype."""
    shape = (*one.shape[:-1], other.shape[-1])
    product = buffer[: math.prod(shape)].view(shape)
    if one.dtype == buffer.dtype:
        return torch.matmul(one, other, out=product)
    return product.copy_(one @ other)


def _accumulate(total: Tensor, one: Tensor, other: Tensor) -> None:
    """Add a matrix product to ``total``, in one call if the dtypes are the same."""
    if total.dtype == one.dtype:
        total.view(-1, *total.shape[2:]).baddbmm_(one.flatten(0, 1), other.flatten(0, 1))
    else:
        total += one @ other


class _TiledAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, bias: Bias, q: Tensor, k: Tensor, v: Tensor, *tensors: Tensor) -> Tensor:
        exact = torch.promote_types(q.dtype, torch.float32)
        with torch.autocast(q.device.type, enabled=False):
            # Slices of one (B, N, 3, heads, d) are slow to multiply: their rows are far apart in memory.
            q, k, v = (q * q.shape[-1] ** -0.5).contiguous(), k.contiguous(), v.contiguous()
            out, log_sum = torch.empty_like(v), q.new_empty(*q.shape[:3], 1, dtype=exact)
            buffer = _score_buffer(q, exact)
            for tile in _tiles(q):
                b, h, _ = tile
                scores = _multiply(q[tile], k[b, h].mT, buffer)
                bias.add_bias(scores, tensors, tile)
                largest = scores.amax(-1, keepdim=True)
                total = scores.sub_(largest).exp_().sum(-1, keepdim=True)
                out[tile] = (scores.to(v.dtype) @ v[b, h]) / total
                log_sum[tile] = largest + total.log_()
        ctx.bias = bias
        ctx.save_for_backward(q, k, v, out, log_sum, *tensors)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, log_sum, *tensors = ctx.saved_tensors
        exact, dtype = log_sum.dtype, q.dtype
        with torch.autocast(q.device.type, enabled=False):
            grad = grad.contiguous()
            mean = (grad.to(exact) * out).sum(-1, keepdim=True)
            q_grad = torch.empty_like(q)
            k_grad, v_grad, *grads = (
                torch.zeros_like(t, dtype=exact, memory_format=torch.contiguous_format) for t in (k, v, *tensors)
            )
            buffer, second_buffer = _score_buffer(q, exact), _score_buffer(q, exact)
            for tile in _tiles(q):
                b, h, _ = tile
                scores = _multiply(q[tile], k[b, h].mT, buffer)
                ctx.bias.add_bias(scores, tensors, tile)
                weights = scores.sub_(log_sum[tile]).exp_()
                _accumulate(v_grad[b, h], weights.to(dtype).mT, grad[tile])
                weights_grad = _multiply(grad[tile], v[b, h].mT, second_buffer)
                scores_grad = weights.mul_(weights_grad.sub_(mean[tile]))
                ctx.bias.add_gradient(scores_grad, grads, tile)
                scores_grad = scores_grad.to(dtype)
                _accumulate(k_grad[b, h], scores_grad.mT, q[tile])
                q_grad[tile] = scores_grad @ k[b, h]
            q_grad *= q.shape[-1] ** -0.5
        return None, q_grad, k_grad.to(dtype), v_grad.to(dtype), *(g.to(t.dtype) for g, t in zip(grads, tensors))
