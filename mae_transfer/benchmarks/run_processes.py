"""The processes of a run, found by what stands in their commands (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def processes_of(folder: Path) -> dict[int, int]:
    """{id of a process: that of its parent}, of all that have the folder in their commands but for this one."""
    found: dict[int, int] = {}
    for path in Path('/proc').glob('[0-9]*'):
        try:
            if os.fsencode(folder) in (path / 'cmdline').read_bytes() and int(path.name) != os.getpid():
                found[int(path.name)] = int((path / 'stat').read_text().rpartition(')')[2].split()[1])
        except OSError:  # it has ended
            continue
    return found


def training_processes(work_dir: Path, of_data: bool = False) -> list[int]:
    """Ids of the processes that run tools/train.py, or of their data loaders' workers, in the order of their start."""
    found = processes_of(work_dir)
    training = {pid for pid, parent in found.items() if _is_training(pid) and not _is_training(parent)}
    return sorted(pid for pid, parent in found.items() if parent in training) if of_data else sorted(training)


def _is_training(pid: int) -> bool:
    """Whether a process runs tools/train.py itself, or is a worker of one that does."""
    try:
        words = Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')
    except OSError:
        return False
    return any(word.endswith(b'train.py') for word in words[:3])
