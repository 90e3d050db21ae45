"""Read checkpoint files as data: a file that would run code while it is read is refused."""

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

from ...errors import CheckpointError


def _history_method(owner: type, name: str) -> Any:
    """Replaces ``getattr``, which MMEngine's files call to store the four statistics methods of history buffers."""
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise UnpicklingError(f'GLOBAL getattr:{getattr(owner, "__name__", type(owner).__name__)}.{name}')
    return getattr(owner, name)


def _safe_globals() -> list:
    """Everything but tensors that files of MMEngine and the official code contain: plain records and numbers.

    MMEngine's own list contains ``getattr`` itself, with which a file could reach almost anything.
    """
    # The two functions that numpy's pickles call, in the modules that had them before and since numpy 2.
    reconstruct, scalar = np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    functions = []
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        functions += [(reconstruct, f'{module}._reconstruct'), (scalar, f'{module}.scalar')]
    number_types = [type(np.dtype(code)) for code in '?bhilqBHILQefdFDU']
    return [
        argparse.Namespace,
        HistoryBuffer,
        (_history_method, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *functions,
        *number_types,
    ]


def read_checkpoint(path: str | Path | BinaryIO, map_location: Any = 'cpu') -> dict:
    """Read a file as data, never as code, and return its content as it was stored.

    Args:
        path: a .safetensors file, or a file with any suffix that ``torch.save`` wrote, or an open stream of the latter.
        map_location: as in ``torch.load``; for .safetensors a device.

    Raises:
        CheckpointError: the file does not exist; it is empty, truncated or no checkpoint; it would run code; it
            contains no dictionary.
    """
    label = 'the stream'
    if isinstance(path, (str, Path)):
        path = Path(path).expanduser()
        if not path.is_file():
            raise CheckpointError(f"no checkpoint file '{path}'")
        size = path.stat().st_size
        if size == 0:
            raise CheckpointError(f"'{path}' is empty (0 bytes): it was probably cut short; fetch or save it again")
        label = f"'{path}' ({size} bytes)"
    if isinstance(map_location, (str, torch.device)):
        torch.empty(0, device=map_location)  # raises torch's own error if there is no such device
    damaged = f'{label} is cut short or is no checkpoint; expected what torch.save or safetensors writes'
    try:
        if isinstance(path, Path) and path.suffix == '.safetensors':
            stored = load_file(path, device=str(map_location or 'cpu'))
        else:
            with torch.serialization.safe_globals(_safe_globals()):
                stored = torch.load(path, map_location=map_location, weights_only=True)
    except (torch.OutOfMemoryError, MemoryError, PermissionError):
        raise  # the file's content is not the cause
    except UnpicklingError as error:
        # Damaged files raise the same class; only these messages mean that the file wanted to run something.
        named = re.search(r'(?:GLOBAL |function |for classes allowlisted .* but got )(\S+)', str(error))
        if named is None:
            raise CheckpointError(f'{damaged} ({_first_line(error)})') from error
        raise CheckpointError(
            f'refused {label}: reading it would run {named[1].strip(".")}; only tensors, numbers, text and plain '
            f'records are read. If you trust it, save its weights alone where it was made'
        ) from error
    except Exception as error:  # torch.load raises almost any exception on files that are no checkpoints
        raise CheckpointError(f'{damaged} ({_first_line(error)})') from error
    if not isinstance(stored, Mapping):
        raise CheckpointError(f'{label} holds a {type(stored).__name__}; expected a dictionary of weights')
    return stored


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    detail = re.search(r'WeightsUnpickler error: (.+)', text)  # preceded by a page of torch's advice
    return (detail[1] if detail else text).splitlines()[0].partition('. ')[0][:160]


def find_checkpoint(path: str | Path) -> Path:
    """Find the checkpoint file that a path stands for.

    Args:
        path: a file; an MMEngine work_dir, in which the file ``last_checkpoint`` names the newest checkpoint (which is
            searched in the folder first, in case it was moved); or a Hugging Face model folder.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"no checkpoint file or work_dir '{path}'")
    pointer = path / 'last_checkpoint'
    if pointer.is_file():
        named = Path(pointer.read_text().strip())
        # The given folder comes first: if it was moved or copied, the stored path may be an outdated copy.
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
