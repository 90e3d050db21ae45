"""Calls of the tools on tiny photos, in this process or as processes."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from PIL import Image

import mae_transfer
from mae_transfer.runs.console import INDENT
from mae_transfer.vit.weights.checkpoint import find_checkpoint, read_checkpoint
from tests.helpers import forget_instances

REPOSITORY = Path(mae_transfer.__file__).parents[1]
CONFIG = REPOSITORY / 'configs' / 'mae_pretrain_vitl.py'
SHARDED = REPOSITORY / 'configs' / 'mae_pretrain_vith_fsdp.py'
ARCH = '32x2x2'


class Ended(NamedTuple):
    """How a tool ended; what it printed has the lines that were wrapped at 100 columns in one."""

    code: int
    out: str
    err: str


def write_photos(folder: Path, count: int, seed: int = 0) -> Path:
    """``count`` JPEGs of 56 x 48 pixels: squares of random colours."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        squares = np.kron(rng.integers(0, 256, (6, 7, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(squares).save(folder / f'{i:03d}.jpg', quality=95)
    return folder


def imagenet_layout(folder: Path) -> Path:
    """Write 24 photos to train on, and 7 to validate on, which no even number of processes divides."""
    write_photos(folder / 'train', 24)
    write_photos(folder / 'val', 7, seed=1)
    return folder


def small(data_root: Path, batch: int = 8, epochs: int = 1, **changes) -> list[str]:
    """Options that make a pre-training config's run small: three steps of eight images an epoch.

    Args:
        batch: images at once in a process.
        changes: name settings with ``__`` in place of the dots.
    """
    settings = dict(
        data_root=data_root,
        total_batch_size=8,
        base_lr=0.1,
        image_size=32,
        max_epochs=epochs,
        warmup=0.5,
        model__vit__arch=ARCH,
        model__vit__patch_size=8,
        model__decoder__embed_dim=16,
        model__decoder__depth=1,
        model__decoder__num_heads=2,
        train_dataloader__batch_size=batch,
        val_dataloader__batch_size=4,
        test_dataloader__batch_size=4,
        default_hooks__logger__interval=1,
        **{f'{loader}_dataloader__num_workers': 0 for loader in ('train', 'val', 'test')},
    )
    settings.update(changes)
    return ['--cfg-options', *(f'{name.replace("__", ".")}={value}' for name, value in settings.items())]


def call(tool: str, *arguments) -> Ended:
    """Run ``tools/TOOL.py ARGUMENTS`` in this process, which saves the seconds that importing takes."""
    spec = importlib.util.spec_from_file_location(f'tool_{tool}', REPOSITORY / 'tools' / f'{tool}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    forget_instances()  # a tool's process has none yet
    # Half of a small run's time goes into collecting versions and formatting the config: leave that out.
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, 'argv', [f'{tool}.py', *map(str, arguments)]),
        mock.patch.dict(os.environ),
        mock.patch('mmengine.runner.runner.collect_env', dict),
        mock.patch('yapf.yapflib.yapf_api.FormatCode', lambda text, **style: (text, True)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            module.launch.run_main(module.main)
        except SystemExit as end:
            code = end.code
        finally:
            forget_instances()  # their handlers write to the buffers above
    return Ended(code, unwrapped(out.getvalue()), err.getvalue())


def unwrapped(text: str) -> str:
    """Printed text, whose lines were wrapped for the console."""
    return re.sub(rf'\n{INDENT}(?! )', ' ', text)


def free_port() -> int:
    """A port that no process listens to."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def run(script: str, *arguments) -> Ended:
    """Run ``tools/SCRIPT ARGUMENTS`` as a process."""
    environment = dict(os.environ, OMP_NUM_THREADS='1', PORT=str(free_port()), PYTHON=sys.executable)
    ended = subprocess.run(
        [str(REPOSITORY / 'tools' / script), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Ended(ended.returncode, unwrapped(ended.stdout), ended.stderr)


def train(*arguments) -> Ended:
    """Call tools/train.py, which must succeed."""
    ended = call('train', *arguments)
    assert ended.code == 0, ended.err
    return ended


def checkpoint(work_dir: Path) -> dict:
    """The newest checkpoint of a run."""
    return read_checkpoint(find_checkpoint(work_dir))


def losses(work_dir: Path) -> list[float]:
    """The loss of each iteration of a run, in full precision; the printed log has smoothed and rounded losses."""
    return checkpoint(work_dir)['message_hub']['log_scalars']['train/loss'].data[0].tolist()


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference between the values of two state dicts with the same names."""
    assert set(one) == set(other)
    return max((one[name] - other[name]).abs().max().item() for name in one)


def error_line(ended: Ended) -> str:
    """The one line with which a tool refused its input; fails if the tool ended in another way."""
    assert ended.code == 2, ended.err or 'no error'
    lines = [line for line in ended.err.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1 and 'Traceback' not in ended.err + ended.out, ended.err
    assert lines[0] == ended.err.strip().splitlines()[-1], 'the line is not the last'
    assert not re.search(r'Epoch\(train\)', ended.out), 'training had started'
    return lines[0]
