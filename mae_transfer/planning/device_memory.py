"""The memory that the processes of a run have."""

from __future__ import annotations

import re
import socket
from collections import Counter
from pathlib import Path

import torch
from mmengine.dist import all_gather_object
from torch import nn

from ..errors import UserError

GB = 1e9
_MEMINFO = Path('/proc/meminfo')
#: Limit, use and details of a container's memory, in version 2 and 1 of Linux's control groups.
_GROUPS = (
    [Path('/sys/fs/cgroup', name) for name in ('memory.max', 'memory.current', 'memory.stat')],
    [Path('/sys/fs/cgroup/memory', f'memory.{name}') for name in ('limit_in_bytes', 'usage_in_bytes', 'stat')],
)


def available_memory() -> int:
    """Memory in bytes that the system, or the container of this process, has left.

    Raises:
        UserError: the system does not say, as it is no Linux.
    """
    try:
        found = re.search(r'MemAvailable:\s+(\d+) kB', _MEMINFO.read_text())
    except OSError:
        found = None
    if found is None:
        raise UserError("this system does not say how much memory is available: state a number in place of 'auto'")
    return min([int(found[1]) * 1024, *_left_in_container()])


def _left_in_container() -> list[int]:
    """Bytes that are left below the container's limit, with the cached files that it would give up; [] without."""
    for files in _GROUPS:
        try:
            most, now, stat = (file.read_text() for file in files)
        except OSError:
            continue
        if most.strip().isdigit():
            cached = re.search(r'^(?:total_)?inactive_file (\d+)', stat, re.MULTILINE)
            return [int(most) - int(now) + (int(cached[1]) if cached else 0)]
    return []


def memory_for_training(model: nn.Module) -> int:
    """Bytes that each process of a run can have for its training, its model included, which is there already.

    On a GPU what is free there and what this process has of it; otherwise a share of the available memory of the
    machine. The smallest of all processes, which all have to call this.
    """
    device = next(model.parameters()).device
    if device.type == 'cuda':
        own = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
        return min(all_gather_object(own))
    there = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
    machines = all_gather_object((socket.gethostname(), available_memory()))
    processes = Counter(name for name, _ in machines)
    return there + min(available // processes[name] for name, available in machines)
