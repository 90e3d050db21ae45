"""Wall-clock time of pre-training steps, for several models that take turns."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..pretrain import MAE


def share_weights(models: Sequence[nn.Module]) -> None:
    """Let the models share parameters of the same name and shape.

    Many models then take little more memory than the largest of them.
    """
    pool: dict[tuple, nn.Parameter] = {}
    for model in models:
        for prefix, module in model.named_modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                setattr(module, name, pool.setdefault((prefix, name, parameter.shape), parameter))


def step_seconds(
    models: Sequence[MAE], batch: int, dtype: torch.dtype, rounds: int = 5, warm_up: int = 1
) -> list[list[float]]:
    """Measure the steps of each model; the models take turns, and share their weights.

    Args:
        models: models on the device to measure, with targets that are ready.
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
        for mae, seconds in zip(models, times):
            torch.manual_seed(number)
            height, width = (side * mae.vit.patch_size for side in mae.vit.grid)
            images = torch.randn(batch, mae.vit.in_channels, height, width, device=device)
            seconds.append(_step(mae, images, torch.arange(batch, device=device), dtype))
    return [seconds[warm_up:] for seconds in times]


def _step(mae: MAE, images: Tensor, seeds: Tensor, dtype: torch.dtype) -> float:
    """Seconds of one forward and backward pass, including the wait until a GPU has computed it."""
    start = time.perf_counter()
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        loss = mae(images, seeds)['loss']
    loss.backward()
    mae.zero_grad()
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
