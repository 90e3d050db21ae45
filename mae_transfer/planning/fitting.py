"""The largest batch of a process that fits into memory."""

from __future__ import annotations

from collections.abc import Iterable

from mmengine.config import Config
from torch import nn

from ..checks import allowed_batches
from ..errors import UserError
from ..kinds import is_kind
from ..registry import MODELS
from ..settings import change_settings
from ..vit import ViT
from .device_memory import GB, memory_for_training
from .expected_memory import ExpectedMemory
from .losses import leaves_out_heads

#: Share of the memory that stays free, for what :class:`ExpectedMemory` does not count.
MARGIN = 0.1


def largest_fitting(
    expected: ExpectedMemory, batches: Iterable[int], total: int, processes: int, memory: float
) -> int | None:
    """The largest of some batches of a process whose peak fits; None for none.

    Args:
        expected: of the config.
        batches: that divide the total batch.
        total: images of a step of the optimiser, on all processes.
        memory: bytes of each process that may be used.
    """
    for batch in sorted(batches, reverse=True):
        if expected.peak(batch, batch * processes < total, processes) <= memory:
            return batch
    return None


def fitting_batch(cfg: Config, model: nn.Module, processes: int) -> tuple[int, str]:
    """The images of a process and forward pass for ``train_dataloader.batch_size='auto'``, and why.

    All processes have to call this, and come to the same.

    Args:
        model: on its device.

    Raises:
        UserError: not even the smallest batch fits.
    """
    has, device = memory_for_training(model), next(model.parameters()).device.type
    total, batches = cfg.total_batch_size, allowed_batches(cfg, processes)
    expected, usable = ExpectedMemory(cfg, device), (1 - MARGIN) * has
    batch = largest_fitting(expected, batches, total, processes, usable)
    if batch is None:
        least = batches[0]
        needed = expected.peak(least, least * processes < total, processes)
        advice = _what_would_fit(cfg, expected, least, processes, usable, device)
        raise UserError(
            f'the smallest batch of a process, {least}, is expected to need {needed / GB:.2f} GB, but there are '
            f'{has / GB:.2f} GB, of which {MARGIN:.0%} stay free: {advice}'
        )
    peak = expected.peak(batch, batch * processes < total, processes)
    without = " without the heads' activations" if leaves_out_heads(cfg) else ''
    return batch, f'auto: {peak / GB:.1f} GB expected{without} of {has / GB:.1f} GB'


def _what_would_fit(
    cfg: Config, expected: ExpectedMemory, batch: int, processes: int, usable: float, device: str
) -> str:
    smaller = expected.peak(batch, False, processes)
    if smaller <= usable:
        return f'total_batch_size={batch * processes}, which needs no accumulation, would fit ({smaller / GB:.2f} GB)'
    if (changed := checkpointed(cfg)) is not None:
        needed = ExpectedMemory(changed, device).peak(batch, batch * processes < cfg.total_batch_size, processes)
        if needed <= usable:
            return f'{checkpoint_setting(cfg)}=True would fit ({needed / GB:.2f} GB)'
    return 'nor would it with grad_checkpoint or a smaller total_batch_size: choose a smaller arch, or more memory'


def checkpoint_setting(cfg: Config) -> str | None:
    """The dotted key of ``grad_checkpoint`` of a config's ViT; None where there is no ViT of ours."""
    for name, part in cfg.model.items():
        if is_kind(part, MODELS, cfg.get('default_scope'), ViT):
            return f'model.{name}.grad_checkpoint'
    return None


def checkpointed(cfg: Config, value: bool = True) -> Config | None:
    """A config with activation checkpointing of its ViT's blocks, or without; None where there is no ViT of ours."""
    setting = checkpoint_setting(cfg)
    return None if setting is None else change_settings(cfg, [(setting, value)])
