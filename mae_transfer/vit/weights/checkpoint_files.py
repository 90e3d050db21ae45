"""Read checkpoint files as data: a file that would run code while it is read is refused."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors.torch
import torch

from ...errors import CheckpointError
from ...paths import shown
from ...progress import Waiting
from .checkpoint_folders import find_checkpoint
from .file_kinds import kind_of
from .records import RECORDS, RecordUnpickler, record_types
from .stand_ins import StandIn, WouldRun

__all__ = ['CheckpointError', 'find_checkpoint', 'read_checkpoint']


def read_checkpoint(path: str | Path | BinaryIO, map_location: Any = 'cpu') -> dict:
    """Read a file as data, never as code, and return its content as it was stored.

    What the file is, is told by its first bytes: safetensors (or the index of a model in several such files), what
    ``torch.save`` wrote since PyTorch 0.2, a pickle of arrays or tensors, an ``.npz``. Of a whole model that was
    saved, the weights are returned. Objects of unknown classes are stand-ins
    (:class:`~mae_transfer.vit.weights.stand_ins.StandIn`).

    Args:
        path: a file, or an open stream that can be rewound.
        map_location: as in ``torch.load``; for safetensors a device.

    Raises:
        CheckpointError: the file does not exist; it is empty, truncated or no checkpoint; it would run code; it
            contains no dictionary.
    """
    if isinstance(map_location, (str, torch.device)):
        torch.empty(0, device=map_location)  # raises torch's own error if there is no such device
    if not isinstance(path, (str, Path)):
        size = path.seek(0, io.SEEK_END)
        path.seek(0)
        return _read(path, None, size, map_location, 'the stream')
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(f"no checkpoint file '{path}'")
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"'{path}' is empty (0 bytes): it was probably cut short; fetch or save it again")
    with path.open('rb') as file, Waiting(f'{shown(path)} read'):
        return _read(file, path, size, map_location, f"'{path}' ({size} bytes)")


def _read(file: BinaryIO, path: Path | None, size: int, map_location: Any, label: str) -> dict:
    """The content of an open file; ``path``, where it has one, and ``label`` are what it is called."""
    damaged = f'{label} is cut short or is no checkpoint; expected what torch.save or safetensors writes'
    try:
        kind = kind_of(file, size)
    except CheckpointError as error:
        raise CheckpointError(f'{label} {error}') from error
    if not kind:
        raise CheckpointError(damaged)
    if kind == 'index':
        if path is None:
            raise CheckpointError(f'{label} is the index of a model in several files: name it by its path')
        return _read_parts(path, map_location)
    try:
        stored = _READERS[kind](file, path, map_location)
    except (torch.OutOfMemoryError, MemoryError, PermissionError, CheckpointError):
        raise  # the file's content is not the cause
    except WouldRun as error:
        raise CheckpointError(
            f'refused {label}: reading it would run {error}; only tensors, numbers, text and plain records are read. '
            'If you trust it, save its weights alone where it was made'
        ) from error
    except Exception as error:  # readers raise almost any exception on files that are no checkpoints
        raise CheckpointError(f'{damaged} ({_first_line(error)})') from error
    return _as_dictionary(stored, label)


def _as_dictionary(stored: Any, label: str) -> Any:
    if isinstance(stored, StandIn):
        if stored.is_module:
            return stored.module_weights()
        if stored.entries:
            return stored.entries
        raise CheckpointError(f'{label} holds an object of {stored.name}; expected a dictionary of weights')
    if not isinstance(stored, Mapping):
        raise CheckpointError(f'{label} holds a {type(stored).__name__}; expected a dictionary of weights')
    for name, value in stored.items():
        if isinstance(value, StandIn) and value.is_module:
            stored[name] = value.module_weights()  # type: ignore[index]
    return stored


def _read_safetensors(file: BinaryIO, path: Path | None, map_location: Any) -> Any:
    if path is None:
        return safetensors.torch.load(file.read())
    return safetensors.torch.load_file(path, device=str(map_location or 'cpu'))


def _read_torch(file: BinaryIO, path: Path | None, map_location: Any) -> Any:
    if os.environ.get('TORCH_FORCE_WEIGHTS_ONLY_LOAD') in ('1', 'y', 'yes', 'true'):  # then torch takes no other reader
        with torch.serialization.safe_globals([(kind, name) for name, kind in record_types().items()]):
            return torch.load(file, map_location=map_location, weights_only=True)
    # `weights_only=True` reads fewer records; RECORDS calls nothing beyond the same list, and imports nothing.
    return torch.load(file, map_location=map_location, pickle_module=RECORDS, weights_only=False)


def _read_pickle(file: BinaryIO, path: Path | None, map_location: Any) -> Any:
    # Arrays of Python 2 are text in this encoding.
    return RecordUnpickler(file, encoding='latin1').load()


def _read_npz(file: BinaryIO, path: Path | None, map_location: Any) -> Any:
    with np.load(file, allow_pickle=False) as arrays:
        try:
            return {name: arrays[name] for name in arrays.files}
        except ValueError as error:
            raise CheckpointError(
                f"'{path}' is an .npz with Python objects in it, which would run code: save arrays alone, as "
                'numpy.savez(FILE, **weights)'
            ) from error


_READERS = dict(safetensors=_read_safetensors, torch=_read_torch, pickle=_read_pickle, npz=_read_npz)


def _read_parts(index: Path, map_location: Any) -> dict:
    """The weights of a model in several files, which its index names."""
    try:
        files = sorted(set(json.loads(index.read_text(encoding='utf-8'))['weight_map'].values()))
        parts = [index.parent / Path(name).name for name in files]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"'{index}' is no index of weights in several files ({_first_line(error)})") from error
    if missing := [part.name for part in parts if not part.is_file()]:
        raise CheckpointError(
            f"'{index}' names {len(parts)} files, of which {len(missing)} are not beside it: {missing[0]}"
        )
    weights: dict = {}
    for part in parts:
        weights |= read_checkpoint(part, map_location)
    return weights


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0].partition('. ')[0][:160] if text.splitlines() else type(error).__name__
