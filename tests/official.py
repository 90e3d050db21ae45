"""Numbers of the official MAE code, and the rule by which their inputs are made."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

GOLDEN = json.loads((Path(__file__).parent / 'assets' / 'mae_official.json').read_text())


def value(name: str, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """The golden file's rule: standard normal from a generator seeded by the name."""
    generator = np.random.RandomState(crc32(f'{seed}:{name}'.encode()))
    return torch.from_numpy(generator.standard_normal(shape).astype(np.float32))


def parameter(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A trainable parameter by the rule: x 0.02, plus 1 for one-dimensional weights."""
    scaled = value(name, shape) * 0.02
    return scaled + 1 if len(shape) == 1 and name.endswith('weight') else scaled


def noise(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Masking noise by the rule."""
    generator = np.random.RandomState(crc32(f'{seed}:noise'.encode()))
    return torch.from_numpy(generator.random_sample(shape).astype(np.float32))


def official_name(name: str) -> str:
    """Our parameter's name in the official MAE model."""
    if name.startswith('vit.'):
        return name[len('vit.') :]
    rest = name[len('decoder.') :]
    return rest if rest == 'mask_token' else f'decoder_{rest}'
