"""One line of the settings that matter, where a run begins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..optim import AutocastOptimWrapper
from ..optim.batch_plan import BatchPlan
from ..paths import shown
from ..runs.console import GLUE
from ..vit import ViT
from ..vit.of_model import vit_of
from ..vit.sizes import SIZES, name_of


def settings_line(runner: Runner, mode: str) -> str:
    """Data, model, batch plan, length, precision and device of a run; parts are parted by semicolons.

    Args:
        runner: its loops are built.
        mode: 'train' or 'test'.
    """
    return '; '.join(_parts(runner, mode))


def _parts(runner: Runner, mode: str) -> Iterator[str]:
    loop = runner.train_loop if mode == 'train' else runner.test_loop
    verb = 'training on' if mode == 'train' else 'testing on'
    yield ' '.join(filter(None, [verb, _counted(len(loop.dataloader.dataset), 'image'), _place(runner.cfg)]))
    if size := runner.cfg.get('crop_size') or runner.cfg.get('image_size'):
        yield _glued(f'image size {_pair(size)}')
    model = runner.model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    vit = vit_of(model)
    own = '' if vit is None else f'{vit_name(vit)}, '
    yield own + _glued(f'{_millions(parameters)} parameters')
    if mode == 'train':
        plan: BatchPlan | None = getattr(runner, 'batch_plan', None)
        if plan is not None:
            yield str(plan)
        yield _length(loop, 1 if plan is None else plan.accumulation)
        if isinstance(runner.optim_wrapper, AutocastOptimWrapper):
            yield str(runner.optim_wrapper.dtype).removeprefix('torch.')
    yield _device()


def vit_name(vit: ViT) -> str:
    """'ViT-L/16', or 'ViT 192x5x3/8' for a size without a name; widths, depths and heads tell."""
    name = name_of(vit.size)
    return _glued(f'ViT-{name[0].upper()}' if name in SIZES else f'ViT {name}') + f'/{vit.patch_size}'


def _place(settings: Any) -> str:
    root = settings.get('data_root')
    if not root:
        return ''
    roots = [root] if isinstance(root, (str, os.PathLike)) else [*root]
    more = f' and {len(roots) - 1} more' if len(roots) > 1 else ''
    return f'in {shown(os.fspath(roots[0]))}{more}'


def _pair(size: Any) -> str:
    return str(size) if isinstance(size, int) else ' x '.join(map(str, size))


def _millions(count: int) -> str:
    return f'{count / 1e6:,.1f} M' if count >= 1e5 else f'{count:,}'


def _length(loop: Any, accumulation: int) -> str:
    steps = _glued(_counted(loop.max_iters // accumulation, 'step'))
    if not isinstance(loop, EpochBasedTrainLoop):
        return steps
    return _glued(f'{_counted(loop.max_epochs, "epoch")} = ') + steps


def _device() -> str:
    device = get_device()
    if device == 'cuda':
        return _glued(torch.cuda.get_device_name())
    if device != 'cpu':
        return device
    return _glued(f'CPU, {_counted(torch.get_num_threads(), "thread")}')


def _counted(count: int, what: str) -> str:
    return f'{count:,} {what}{"s" * (count != 1)}'


def _glued(text: str) -> str:
    return text.replace(' ', GLUE)
