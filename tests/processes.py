"""Several processes on this machine that run a file of the tests together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from tests.tools.commands import REPOSITORY, free_port


def run_together(file: Path, count: int, folder: Path, timeout: float = 120) -> list[dict]:
    """Run ``python FILE FOLDER`` in as many processes, of which each writes ``FOLDER/RANK.pt``; returns their contents.

    They start a process group by the environment; GPUs are hidden from them.
    """
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY), MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()))
    environment.update(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1', WORLD_SIZE=str(count))
    processes = [
        subprocess.Popen(
            [sys.executable, str(file), str(folder)],
            env=dict(environment, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert not any(process.returncode for process in processes), '\n'.join(outputs)
    return [torch.load(folder / f'{rank}.pt', weights_only=True) for rank in range(count)]
