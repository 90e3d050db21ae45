"""A training step of a config on fake tensors, which have shapes and no values: its memory and FLOPs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from ..vit.tiles import first_tile_only
from .fake_values import FakeValues
from .gpu_kernels import GPUKernels
from .live_bytes import LiveBytes
from .training import Training, build_model


@dataclass(frozen=True)
class FakeStep:
    """Memory of a step in bytes.

    Args:
        weights: parameters and buffers. gradients: of the trained parameters. state: of the optimiser.
        first_pass: bytes alive after each operation of a forward and backward pass that begins without gradients.
        later_pass: the same for a pass that adds to gradients, as with accumulation.
        update: the same for the optimiser's step.
    """

    weights: int
    gradients: int
    state: int
    first_pass: list[int]
    later_pass: list[int]
    update: list[int]


def fake_step(cfg: Config, batch: int, device: str) -> FakeStep:
    """Run a training step on fake tensors, in a second or a few whatever the batch is, and count its memory.

    Args:
        batch: images.
        device: 'cuda' or 'cpu': by whose kernels.

    Raises:
        UserError: a model of a kind that is not known, or without a ViT of ours; a size of images that is not known.
    """
    live = LiveBytes()
    with _fake_training(cfg, batch, device) as training, first_tile_only():
        live.count([*training.model.parameters(), *training.model.buffers()])
        weights = live.now
        live.count([training.images])
        with live:
            before = live.now
            training.forward_and_backward()
            first_pass, gradients = live.take_moments(), live.now - before
            training.forward_and_backward()
            later_pass, before = live.take_moments(), live.now
            training.wrapper.step()
            state = live.now - before
            live.take_moments()
            training.wrapper.step()
            update = live.take_moments()
    # The passes ran before the optimiser had its state.
    first_pass, later_pass = ([moment + state for moment in moments] for moments in (first_pass, later_pass))
    return FakeStep(weights, gradients, state, first_pass, later_pass, update)


def image_flops(cfg: Config) -> float:
    """FLOPs of a training step's forward and backward pass for one image, by a GPU's kernels.

    Matrix products, convolutions and attention, a multiply-add as two; what is computed twice counts twice: scores in
    the backward pass of fused attention, and blocks with activation checkpointing. Raises as :func:`fake_step`.
    """
    counter, batch = FlopCounterMode(display=False), 2
    with _fake_training(cfg, batch, 'cuda') as training, counter:
        training.forward_and_backward()
    return counter.get_total_flops() / batch


@contextmanager
def _fake_training(cfg: Config, batch: int, device: str) -> Iterator[Training]:
    """The training of a config on fake tensors, by the kernels of 'cuda' or 'cpu'."""
    with torch.device('meta'):
        model = build_model(cfg)
    with ExitStack() as stack:
        # It is one process that must not wait for the others.
        stack.enter_context(mock.patch('torch.distributed.is_initialized', lambda: False))
        stack.enter_context(FakeTensorMode())
        stack.enter_context(FakeValues())
        _make_fake(model)
        training = Training(cfg, model, batch)
        if device != 'cpu':
            stack.enter_context(GPUKernels())
            training.update_all_at_once()
        yield training


def _make_fake(model: nn.Module) -> None:
    """Replace parameters and buffers by fake ones, within a ``FakeTensorMode``; shared ones stay shared."""
    made: dict[int, torch.Tensor] = {}

    def fake(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            value = torch.empty(tensor.shape, dtype=tensor.dtype)
            is_parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(value, requires_grad=tensor.requires_grad) if is_parameter else value
        return made[id(tensor)]

    old = [*model.parameters(), *model.buffers()]  # kept, so that no two have the same id
    for module in model.modules():
        parts: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for tensors in parts:
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = fake(tensor)
    del old
