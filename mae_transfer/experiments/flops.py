"""FLOPs of the forward pass of a pre-training step."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from unittest import mock

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..pretraining import MAE, Mask
from ..registry import MODELS


def count_flops(model: Mapping) -> dict[str, int]:
    """Count the FLOPs of a training step's forward pass for one image, on PyTorch's meta device.

    Nothing is computed, and no weights are loaded.

    Args:
        model: config of an MAE.

    Returns:
        FLOPs of ``encoder``, ``decoder`` and ``target``, and their sum as ``total``; a multiply-add counts as two. They
        depend on how many patches are kept, not on which.
    """
    with torch.device('meta'):
        mae = with_ready_target(MODELS.build(model)).to('meta')  # position embeddings are built on the CPU
        rows, columns = mae.vit.grid
        images = torch.zeros(1, mae.vit.in_channels, rows * mae.vit.patch_size, columns * mae.vit.patch_size)
        patches = torch.zeros(1, rows * columns, dtype=torch.int64)
        kept = mae.masking.num_kept(mae.vit.grid)
        mask = Mask(patches[:, :kept], patches[:, kept:])
        flops_before_decoder: list[int] = []
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            mae.decoder.register_forward_pre_hook(lambda *_: flops_before_decoder.append(counter.get_total_flops()))
            mae.predict(images, mask)
        # torch.autocast refuses the meta device, even to switch autocast off.
        with (
            torch.no_grad(),
            mock.patch('torch.autocast', lambda *_, **__: nullcontext()),
            FlopCounterMode(display=False) as target_counter,
        ):
            mae.target(images, mae.vit.patch_size, mask.masked)
    encoder, both, target = flops_before_decoder[0], counter.get_total_flops(), target_counter.get_total_flops()
    return dict(encoder=encoder, decoder=both - encoder, target=target, total=both + target)


def with_ready_target(mae: MAE) -> MAE:
    """Have a target work without being fitted and without its weights, which do not change its cost.

    Returns:
        The same model.
    """
    mae.target.ready = True
    return mae
