"""Checkpoint files, read as data: one that would run code while being read is refused."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import load_file

from .layouts import CheckpointError


def _history_method(owner: type, name: str) -> Any:
    """Stands in for ``getattr``, by which MMEngine's files name the four statistics of their history buffers."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise UnpicklingError(f'GLOBAL getattr:{getattr(owner, "__name__", type(owner).__name__)}.{name}')
    return getattr(owner, name)


def _harmless() -> list:
    """What MMEngine's and the official code's files hold beside tensors: plain records and numbers, nothing that acts.

    MMEngine's own list has ``getattr`` itself, with which a file could reach almost anything.
    """
    # The two functions that numpy's own pickles call, under their names before and since numpy 2.
    rebuild = {'_reconstruct': np.zeros(0).__reduce__()[0], 'scalar': np.float64(0).__reduce__()[0]}
    functions = [
        (call, f'numpy.{core}.multiarray.{name}') for name, call in rebuild.items() for core in ('core', '_core')
    ]
    numbers = [type(np.dtype(code)) for code in '?bhilqBHILQefdFDU']
    return [
        argparse.Namespace,
        HistoryBuffer,
        (_history_method, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *functions,
        *numbers,
    ]


def read_checkpoint(path: str | Path | BinaryIO, map_location: Any = 'cpu') -> dict:
    """The file as it was stored, read as data and never as code.

    Args:
        path: a .safetensors file, or one that ``torch.save`` wrote, whatever its suffix; or such a file's open stream.
        map_location: as of ``torch.load``; for .safetensors a device.

    Raises:
        CheckpointError: no such file; empty, cut short or not a checkpoint; it would run code; it holds no dictionary.
    """
    if isinstance(path, (str, Path)):
        path = Path(path).expanduser()
        if not path.is_file():
            raise CheckpointError(f"no checkpoint file '{path}'")
        if not (size := path.stat().st_size):
            raise CheckpointError(f"'{path}' is empty (0 bytes): it was probably cut short; fetch or save it again")
    label = f"'{path}' ({size} bytes)" if isinstance(path, Path) else 'the stream'
    if isinstance(map_location, (str, torch.device)):
        torch.empty(0, device=map_location)  # a device that is not there is no fault of the file
    damaged = f'{label} is cut short or is no checkpoint; expected what torch.save or safetensors writes'
    try:
        if isinstance(path, Path) and path.suffix == '.safetensors':
            stored = load_file(path, device=str(map_location or 'cpu'))
        else:
            with torch.serialization.safe_globals(_harmless()):
                stored = torch.load(path, map_location=map_location, weights_only=True)
    except (torch.OutOfMemoryError, MemoryError, PermissionError):
        raise  # no fault of the file's content
    except UnpicklingError as error:
        # Damage raises the same class; only these sentences tell that something was called for.
        named = re.search(r'(?:GLOBAL |function |for classes allowlisted .* but got )(\S+)', str(error))
        if named is None:
            raise CheckpointError(f'{damaged} ({_first_line(error)})') from error
        raise CheckpointError(
            f'refused {label}: reading it would run {named[1].strip(".")}; only tensors, numbers, text and plain '
            f'records are read. If you trust it, save its weights alone where it was made'
        ) from error
    except Exception as error:  # torch.load raises nearly anything on bytes that are no checkpoint
        raise CheckpointError(f'{damaged} ({_first_line(error)})') from error
    if not isinstance(stored, Mapping):
        raise CheckpointError(f'{label} holds a {type(stored).__name__}; expected a dictionary of weights')
    return stored


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    detail = re.search(r'WeightsUnpickler error: (.+)', text)  # torch puts a page of advice before it
    return (detail[1] if detail else text).splitlines()[0].partition('. ')[0][:160]


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint file that a path means.

    Args:
        path: a file; or a folder: a work_dir of MMEngine's, whose file ``last_checkpoint`` names the newest one (by its
            name, beside it, where the folder was moved since), or a model folder of Hugging Face's.

    Raises:
        CheckpointError: there is none.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"no checkpoint file or work_dir '{path}'")
    pointer = path / 'last_checkpoint'
    if pointer.is_file():
        named = Path(pointer.read_text().strip())
        # The folder that was asked for comes first: the one that is written there may be an old copy of it.
        for candidate in (path / named.name, named):
            if named.name and candidate.is_file():
                return candidate
        raise CheckpointError(f"'{pointer}' names '{named}', which is neither there nor in '{path}'")
    for name in ('model.safetensors', 'pytorch_model.bin'):
        if (path / name).is_file():
            return path / name
    others = sorted(p.name for p in path.iterdir() if p.suffix in ('.pth', '.pt', '.bin', '.safetensors'))
    hint = f"name one of its files, e.g. '{others[-1]}'" if others else 'it holds no checkpoints'
    raise CheckpointError(f"folder '{path}' has no file 'last_checkpoint': {hint}")
