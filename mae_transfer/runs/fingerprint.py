"""The sha256 of each part of a run's state, to tell whether two runs are the same bit by bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

#: Parts of a checkpoint that two equal runs share; the rest names times and folders.
_PARTS = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')


def fingerprint(checkpoint: Mapping[str, Any]) -> dict[str, str]:
    """The sha256 of a checkpoint's weights, averaged weights, optimiser and schedulers, and of all losses so far."""
    found = {name: checkpoint[name] for name in _PARTS if name in checkpoint}
    scalars = checkpoint['message_hub']['log_scalars']
    found['losses'] = {name: buffer.data[0] for name, buffer in scalars.items() if name.startswith('train/loss')}
    return {name: digest(value) for name, value in found.items()}


def digest(value: Any) -> str:
    """The sha256 of tensors, arrays, numbers and text, in dictionaries, lists and tuples: of values and shapes."""
    found = hashlib.sha256()
    _add(found, value)
    return found.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for name in sorted(value, key=repr):
            digest.update(repr(name).encode())
            _add(digest, value[name])
    elif isinstance(value, (list, tuple)):
        digest.update(f'{len(value)} values'.encode())
        for entry in value:
            _add(digest, entry)
    elif isinstance(value, (Tensor, np.ndarray)):
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        digest.update(f'{array.dtype} {array.shape}'.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    else:
        digest.update(repr(value).encode())
