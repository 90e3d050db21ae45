"""What a training was started with, and how it ended, kept beside its log for whoever reads its results later."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner

from ..version import __version__
from ..whole_files import written_whole

#: In ``vis_data/`` of a run's log folder: beside the folder's own JSON, tests have their metrics.
NAME = 'run.json'
_PACKAGES = (
    *('torch', 'torchvision', 'timm', 'numpy'),
    *('onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmsegmentation'),
    *('mmengine', 'mmcv', 'mmdet', 'mmsegmentation'),
)
_CHECKOUT = Path(__file__).resolve().parents[2]


@contextmanager
def recorded(runner: Runner, config: str | None, batch: str | None, accumulation: int) -> Iterator[None]:
    """Keep what the training within was started with, and how it ended, in ``<log_dir>/vis_data/run.json``.

    Args:
        config: the name of its config; None for none.
        batch: how the total batch is divided, in words; None for a config without a total batch.
        accumulation: forward passes for one step of the optimiser.
    """
    if not is_main_process():
        yield
        return
    record = dict(_started(runner), config=config, batch=batch, accumulation=accumulation)
    keep(NAME, record, runner)
    end = 'completed'
    try:
        yield
    except BaseException as error:
        end = f'ended early: {" ".join(str(error).split())[:300] or type(error).__name__}'
        raise
    finally:
        keep(NAME, dict(record, ended=_now(), end=end), runner)


def keep(name: str, found: Any, runner: Runner) -> None:
    """Write what JSON can hold beside the log, into ``<log_dir>/vis_data/<name>``.

    A disk on which that cannot be done is told, and does not end the training.
    """
    path = Path(runner.log_dir) / 'vis_data' / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            file.write(json.dumps(found, indent=1).encode())
    except OSError as error:
        runner.logger.warning(f'{path} is not written: {error.strerror or error}')


def _started(runner: Runner) -> dict[str, Any]:
    """What is known of the process, the machine and the code."""
    device = get_device()
    threads = f'{platform.machine()}, {torch.get_num_threads()} thread(s)'
    name = torch.cuda.get_device_name() if device == 'cuda' else threads
    return dict(
        command=[*sys.argv],
        folder=os.getcwd(),
        started=_now(),
        seed=runner.seed,
        device=f'{device}: {name}',
        processes=get_world_size(),
        platform=platform.platform(),
        packages=dict(python=platform.python_version(), mae_transfer=__version__, **_versions()),
        commit=_commit(),
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # one line of the OpenMMLab packages is there, not both
            continue
    return found


def _commit() -> str | None:
    """The commit of a checkout of this package, and whether files were changed; None for an installed wheel."""
    if not (_CHECKOUT / '.git').exists():  # a file in a worktree
        return None

    def git(*words: str) -> str:
        return subprocess.run(['git', '-C', str(_CHECKOUT), *words], capture_output=True, text=True, timeout=20).stdout

    try:
        commit = git('rev-parse', 'HEAD').strip()
        is_changed = bool(git('status', '--porcelain', '--untracked-files=no').strip())
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout too slow to ask
        return None
    return f'{commit}{", with changes" if is_changed else ""}' if commit else None


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec='seconds')
