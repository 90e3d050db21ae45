"""Which process this is, by the environment alone: asked before there is a process group, and without PyTorch."""

from __future__ import annotations

import multiprocessing
import os


def is_main_process() -> bool:
    """Whether this is the first process of a run, and none of its workers."""
    rank = os.environ.get('RANK', os.environ.get('SLURM_PROCID', '0'))
    return rank == '0' and multiprocessing.parent_process() is None
