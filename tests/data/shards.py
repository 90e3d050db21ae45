"""Tar files of samples for tests."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def jpeg(seed: int = 0, size: tuple[int, int] = (24, 20)) -> bytes:
    """The content of a noisy photo of ``size`` (width, height)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, 'JPEG')
    return content.getvalue()


def write_tar(path: Path, members: dict[str, bytes], **settings) -> Path:
    """A tar file of members; ``settings`` are those of ``tarfile.open``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, settings.pop('mode', 'w'), **settings) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def samples(*keys: str, **others: bytes) -> dict[str, bytes]:
    """Members: for each key a photo, and beside it files of other suffixes."""
    return {
        name: content
        for seed, key in enumerate(keys)
        for name, content in {
            f'{key}.jpg': jpeg(seed),
            **{f'{key}.{suffix}': value for suffix, value in others.items()},
        }.items()
    }
