"""Attention with a bias that is never stored: tile by tile, each computed again in the backward pass.

Beside its inputs it keeps one number for each query, the logarithm of its sum of exponentials (Rabe and Staats 2021,
"Self-attention does not need O(n^2) memory"; Dao 2022, "FlashAttention"). PyTorch's own fused kernels take a bias only
as a whole, and on the CPU none that wants a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Scores in a tile: as many as the cache of a CPU's core holds; on a GPU as many as keep it busy (512 MiB of float32).
_SCORES = dict(cpu=2**18, cuda=2**27)
_LEAST_QUERIES = 64  # fewer rows make slow matrix products


class Bias(Protocol):
    """What is added to the scores, made from ``tensors`` on demand."""

    def add(self, scores: Tensor, tensors: tuple[Tensor, ...], tile: tuple[slice, slice, slice]) -> None:
        """Add, in place, the bias of a tile (images, heads, queries) to its scores (b, h, n, N)."""

    def collect(self, grad: Tensor, grads: tuple[Tensor, ...], tile: tuple[slice, slice, slice]) -> None:
        """Add the gradient of a tile's scores to that of the tensors."""


def tiled_attention(q: Tensor, k: Tensor, v: Tensor, bias: Bias, *tensors: Tensor) -> Tensor:
    """``softmax(q k^T / sqrt(d) + bias) v`` of (B, heads, N, d), in value and gradient, in memory proportional to N.

    The exponentials and the gradient of the bias are in float32 (float64 for float64), matrix products in the type of
    ``q``.
    """
    return _TiledAttention.apply(bias, q, k, v, *tensors)


def _tiles(q: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Cut (B, heads, N, d) into tiles of images, heads and queries: several images only where all their heads fit."""
    batch, heads, length, _ = q.shape
    budget = _SCORES.get(q.device.type, _SCORES['cpu'])
    queries = min(length, max(_LEAST_QUERIES, budget // length))
    if q.device.type == 'cpu':
        budget *= torch.get_num_threads()  # a head for each
    some_heads = min(heads, max(1, budget // (queries * length)))
    images = max(1, budget // (queries * length * heads))
    for b in range(0, batch, images):
        for h in range(0, heads, some_heads):
            for n in range(0, length, queries):
                yield slice(b, b + images), slice(h, h + some_heads), slice(n, min(n + queries, length))


def _store(q: Tensor, dtype: torch.dtype) -> Tensor:
    """Memory for the scores of the largest tile. Used for all tiles: fresh pages for each would cost as much as its
    products."""
    b, h, n = (min(part.stop, size) - part.start for part, size in zip(next(_tiles(q)), q.shape))
    return q.new_empty(b * h * n * q.shape[2], dtype=dtype)


def _multiply(one: Tensor, other: Tensor, store: Tensor) -> Tensor:
    """The matrix product, held in ``store`` and of its type."""
    shape = (*one.shape[:-1], other.shape[-1])
    product = store[: math.prod(shape)].view(shape)
    return torch.matmul(one, other, out=product) if one.dtype == store.dtype else product.copy_(one @ other)


def _accumulate(total: Tensor, one: Tensor, other: Tensor) -> None:
    """Add a matrix product to ``total``, in one go where the types are the same."""
    if total.dtype == one.dtype:
        total.view(-1, *total.shape[2:]).baddbmm_(one.flatten(0, 1), other.flatten(0, 1))
    else:
        total += one @ other


class _TiledAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, bias: Bias, q: Tensor, k: Tensor, v: Tensor, *tensors: Tensor) -> Tensor:
        exact = torch.promote_types(q.dtype, torch.float32)
        with torch.autocast(q.device.type, enabled=False):
            # Slices of one (B, N, 3, heads, d) are slow to multiply: row after row is far apart.
            q, k, v = (q * q.shape[-1] ** -0.5).contiguous(), k.contiguous(), v.contiguous()
            out, log_sum = torch.empty_like(v), q.new_empty(*q.shape[:3], 1, dtype=exact)
            store = _store(q, exact)
            for tile in _tiles(q):
                b, h, _ = tile
                scores = _multiply(q[tile], k[b, h].mT, store)
                bias.add(scores, tensors, tile)
                top = scores.amax(-1, keepdim=True)
                total = scores.sub_(top).exp_().sum(-1, keepdim=True)
                out[tile] = (scores.to(v.dtype) @ v[b, h]) / total
                log_sum[tile] = top + total.log_()
        ctx.bias = bias
        ctx.save_for_backward(q, k, v, out, log_sum, *tensors)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, log_sum, *tensors = ctx.saved_tensors
        exact, half = log_sum.dtype, q.dtype
        with torch.autocast(q.device.type, enabled=False):
            grad = grad.contiguous()
            mean = (grad.to(exact) * out).sum(-1, keepdim=True)
            q_grad = torch.empty_like(q)
            k_grad, v_grad, *grads = (
                torch.zeros_like(t, dtype=exact, memory_format=torch.contiguous_format) for t in (k, v, *tensors)
            )
            store, second_store = _store(q, exact), _store(q, exact)
            for tile in _tiles(q):
                b, h, _ = tile
                scores = _multiply(q[tile], k[b, h].mT, store)
                ctx.bias.add(scores, tensors, tile)
                weights = scores.sub_(log_sum[tile]).exp_()
                _accumulate(v_grad[b, h], weights.to(half).mT, grad[tile])
                scores_grad = weights.mul_(_multiply(grad[tile], v[b, h].mT, second_store).sub_(mean[tile]))
                ctx.bias.collect(scores_grad, grads, tile)
                scores_grad = scores_grad.to(half)
                _accumulate(k_grad[b, h], scores_grad.mT, q[tile])
                q_grad[tile] = scores_grad @ k[b, h]
            q_grad *= q.shape[-1] ** -0.5
        return None, q_grad, k_grad.to(half), v_grad.to(half), *(g.to(t.dtype) for g, t in zip(grads, tensors))
