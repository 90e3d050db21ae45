"""Compile the blocks of a model for training."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from timm.layers import DropPath
from torch import nn

from ..errors import UserError
from ..vit.block import Block

#: Random numbers in compiled blocks are those that the others have.
_OPTIONS = {'fallback_random': True}


def check_compile(setting: Any, device: str) -> None:
    """Raise ``UserError`` for a setting ``compile`` that is none, or if there is no compiler.

    Args:
        setting: whether to compile, or settings of ``torch.compile``.
        device: where training computes: 'cpu' or 'cuda'.
    """
    if not isinstance(setting, (bool, Mapping)):
        raise UserError(f'compile is True, False, or settings of torch.compile; found {setting!r}')
    if setting is False:
        return
    if isinstance(setting, Mapping) and setting.get('backend', 'inductor') != 'inductor':
        return  # which needs no compiler, or looks for its own
    # What inductor calls for the CPU, and Triton for a GPU.
    language, variable, usual = ('C++', 'CXX', ['g++']) if device == 'cpu' else ('C', 'CC', ['gcc', 'clang'])
    wanted = [os.environ[variable]] if os.environ.get(variable) else usual
    if not any(shutil.which(name) for name in wanted):
        raise UserError(
            f'compile=True needs a compiler of {language}, and there is no {wanted[0]}: install it, name another by '
            f'the variable {variable}, or set compile=False'
        )


def compile_blocks(model: nn.Module, setting: bool | Mapping[str, Any]) -> int:
    """Have all transformer blocks of a model computed by ``torch.compile``, in place; names of weights stay.

    Blocks of the same shape share what is compiled, so this starts several times as fast as compiling the model. After
    the first batch of another size the number of images is left open, and no other batch compiles again.

    Args:
        model: with :class:`~mae_transfer.vit.block.Block`.
        setting: True, or settings of ``torch.compile``.

    Returns:
        The number of blocks.
    """
    settings = dict(setting) if isinstance(setting, Mapping) else {}
    if settings.get('backend', 'inductor') == 'inductor' and 'mode' not in settings:
        settings['options'] = {**_OPTIONS, **settings.get('options', {})}
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    for block in blocks:
        for module in block.modules():
            if isinstance(module, DropPath):
                # Its probability differs between the blocks, and each would be compiled by itself, up to a limit.
                module.forward = torch.compiler.disable(module.forward)  # type: ignore[method-assign]
        block.compile(**settings)
    return len(blocks)


def eager() -> AbstractContextManager:
    """A context in which compiled blocks are computed as if they were not.

    For evaluations: they are a small part of a run, and have other batches.
    """
    return torch.compiler.set_stance('force_eager')
