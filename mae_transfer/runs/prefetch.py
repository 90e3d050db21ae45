"""Batches on their way to the GPU while it still computes the step before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor


def on_device(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches, with their tensors on the GPU, copied in a stream of their own; unchanged where there is no GPU.

    The host is ahead of the GPU, because nothing within a step waits for it, so that the copy of a batch overlaps with
    the computation of the step before. That needs batches in pinned memory (the data loader's ``pin_memory``).
    """
    if get_device() != 'cuda':
        yield from batches
        return
    stream = torch.cuda.Stream()
    for batch in batches:
        with torch.cuda.stream(stream):
            batch = moved(batch, torch.device('cuda'))
        current = torch.cuda.current_stream()
        current.wait_stream(stream)
        for tensor in tensors_of(batch):
            tensor.record_stream(current)  # so that its memory is not reused while the step reads it
        yield batch


def moved(batch: Any, device: torch.device) -> Any:
    """A batch with the tensors of its dicts, lists and tuples on a device; other parts, such as data samples, stay."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {key: moved(value, device) for key, value in batch.items()}
    if type(batch) in (list, tuple):
        return type(batch)(moved(value, device) for value in batch)
    return batch


def tensors_of(batch: Any) -> Iterator[Tensor]:
    """The tensors of a batch's dicts, lists and tuples."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping) or type(batch) in (list, tuple):
        for value in batch.values() if isinstance(batch, Mapping) else batch:
            yield from tensors_of(value)
