"""What a run uses of a machine beside its processors: the disk, shared memory, open files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .finding import Finding

TOPIC = 'machine'
_GB = 1e9
#: A checkpoint of ViT-L's pre-training: 330 million parameters, each with two moments, four bytes a number.
_CHECKPOINT_GB = 4
#: Docker gives a container 64 MB; a batch of 64 images of 224 x 224 in float32 has 39 MB, and workers hold several.
_LEAST_SHARED_GB = 1
_LEAST_FILES = 1024
SHARED = Path('/dev/shm')


def disk() -> Iterator[Finding]:
    """Room in this folder."""
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free / _GB
    found = f'{free:.0f} GB free in {folder}' if free >= 10 else f'{free:.1f} GB free in {folder}'
    if not os.access(folder, os.W_OK):
        yield Finding(TOPIC, 'disk', 'wrong', f'{folder} cannot be written to', 'change to another folder')
    elif free < _CHECKPOINT_GB:
        advice = f'a checkpoint of ViT-L has {_CHECKPOINT_GB} GB: make room, or write to another disk'
        yield Finding(TOPIC, 'disk', 'wrong', found, advice)
    else:
        yield Finding(TOPIC, 'disk', 'ok', found)


def shared_memory() -> Iterator[Finding]:
    """Where workers leave their batches."""
    if not SHARED.is_dir():  # as on macOS and Windows, where it is no folder
        return
    size = shutil.disk_usage(SHARED)
    found = f'{size.free / _GB:.1f} of {size.total / _GB:.1f} GB free in {SHARED}, for batches of workers'
    if size.free / _GB < _LEAST_SHARED_GB:
        advice = 'docker run --shm-size=8g (or --ipc=host), else num_workers=0'
        yield Finding(TOPIC, 'shared memory', 'wrong', found, advice)
    else:
        yield Finding(TOPIC, 'shared memory', 'ok', found)


def open_files() -> Iterator[Finding]:
    """How many files a process may open."""
    import resource  # which Windows has not

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _LEAST_FILES:
        found = 'any number' if soft == resource.RLIM_INFINITY else f'up to {soft} a process'
        yield Finding(TOPIC, 'open files', 'ok', found)
    else:
        most = 'a larger number' if hard == resource.RLIM_INFINITY else min(hard, 65536)
        advice = f'workers may need more: ulimit -n {most}'
        yield Finding(TOPIC, 'open files', 'wrong', f'up to {soft} a process', advice)
