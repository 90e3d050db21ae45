"""Tensors that are divided among processes (``DTensor``), whole again, and divided as others are.

A checkpoint holds whole tensors only, so that it is the file that one process would have written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer


def has_shards(model: nn.Module) -> bool:
    """Whether parameters of a model are divided, so that all processes must take part in what is done with them."""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def whole(tensor: Tensor) -> Tensor:
    """A tensor that is on every process, from one that may be divided; all processes call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all numbers of some tensors are finite, on all processes alike where they are divided."""
    tensors = list(tensors)
    own = [part.to_local() if isinstance(part, DTensor) else part for part in tensors]
    finite = torch.stack([part.isfinite().all() for part in own]).all() if own else torch.tensor(True)
    if any(isinstance(part, DTensor) for part in tensors):
        count = finite.int()
        torch.distributed.all_reduce(count, torch.distributed.ReduceOp.MIN)
        return bool(count)
    return bool(finite)


def take_part(state: Any) -> None:
    """Give this process's shards of nested dictionaries and lists to the one that calls :func:`whole` for each."""
    if isinstance(state, DTensor):
        state.full_tensor()  # one after the other: all at once would take the memory of the whole model
    elif isinstance(state, (dict, list, tuple)):
        for value in state.values() if isinstance(state, dict) else state:
            take_part(value)


def shard_like(tensor: Tensor, shards: DTensor) -> DTensor:
    """This process's part of a whole tensor that each process has, divided as ``shards``."""
    moved = tensor.detach().to(shards.device)
    own = distribute_tensor(moved, shards.device_mesh, shards.placements, src_data_rank=None)
    return own.clone()  # type: ignore[return-value]  # lets go of the whole, of which it is a view


def shard_loaded_weights(module: nn.Module) -> None:
    """Let a model whose parameters are divided, and each part of it, load state dicts of whole tensors."""
    for part in module.modules():
        part.register_load_state_dict_pre_hook(_shard_state)


def _shard_state(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name, parameter in module.named_parameters(recurse=False):
        value = state.get(prefix + name)
        if isinstance(parameter, DTensor) and isinstance(value, Tensor) and not isinstance(value, DTensor):
            if value.shape == parameter.shape:  # PyTorch tells what does not fit
                state[prefix + name] = shard_like(value, parameter)


def shard_optimizer_state(optimizer: Optimizer, state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimiser's state with its tensors divided as this optimiser's parameters are; unchanged if they are not.

    Args:
        state: of ``state_dict()``, with whole tensors.
    """
    parameters = chain.from_iterable(group['params'] for group in optimizer.param_groups)
    numbers = chain.from_iterable(group['params'] for group in state['param_groups'])
    divided = dict(state['state'])
    for parameter, number in zip(parameters, numbers):
        if isinstance(parameter, DTensor) and number in divided:
            divided[number] = {name: _as_parameter(value, parameter) for name, value in divided[number].items()}
    return dict(state, state=divided)


def _as_parameter(value: Any, parameter: DTensor) -> Any:
    """A moment is divided, the number of steps is not."""
    fits = isinstance(value, Tensor) and value.ndim > 0 and value.shape == parameter.shape
    return shard_like(value, parameter) if fits else value
