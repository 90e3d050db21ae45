"""Wall-clock time of pre-training steps, for several models that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..classify import ViTClassifier
from ..errors import UserError
from ..planning import losses
from ..pretraining import MoCoV3
from ..pretraining.masked_model import MaskedModel


def share_weights(models: Sequence[nn.Module]) -> None:
    """Let the models share parameters of the same name and shape, trained ones and frozen ones apart.

    Many models then take little more memory than the largest of them.
    """
    pool: dict[tuple, nn.Parameter] = {}
    for model in models:
        for prefix, module in model.named_modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(
                    module, name, pool.setdefault((prefix, name, parameter.shape, parameter.requires_grad), parameter)
                )


def training_loss(model: nn.Module, images: Tensor) -> Callable[[], Tensor]:
    """The loss of a pre-training step on images (B, C, H, W): :func:`~mae_transfer.planning.losses.training_loss`.

    Raises:
        UserError: a model that is no pre-training.
    """
    if not isinstance(model, (MaskedModel, MoCoV3, ViTClassifier)):
        raise UserError(
            f'{type(model).__name__} is no pre-training: name configs of MAE, MoCoV3, BEiT or ViTClassifier'
        )
    return losses.training_loss(model, images)


def step_seconds(
    models: Sequence[Any], batch: int, dtype: torch.dtype, rounds: int = 5, warm_up: int = 1
) -> list[list[float]]:
    """Measure the steps of each model; the models take turns, and share their weights.

    Args:
        models: pre-trainings on the device to measure, with targets that are ready.
        batch: random images per step.
        dtype: precision of autocast; no autocast for float32.
        rounds: measured steps of each model.
        warm_up: steps of each model before the measured ones.

    Returns:
        For each model the seconds of its ``rounds`` steps.
    """
    share_weights(models)
    device = next(models[0].parameters()).device
    times: list[list[float]] = [[] for _ in models]
    for number in range(warm_up + rounds):
        for model, seconds in zip(models, times):
            torch.manual_seed(number)
            height, width = (side * model.vit.patch_size for side in model.vit.grid)
            images = torch.randn(batch, model.vit.in_channels, height, width, device=device)
            seconds.append(_step(model, images, dtype))
    return [seconds[warm_up:] for seconds in times]


def _step(model: nn.Module, images: Tensor, dtype: torch.dtype) -> float:
    """Seconds of one forward and backward pass, including the wait until a GPU has computed it."""
    loss = training_loss(model, images)
    start = time.perf_counter()
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        value = loss()
    value.backward()
    model.zero_grad()
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
