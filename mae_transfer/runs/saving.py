"""Checkpoints that are there whole or not at all, and what a checkpoint of a run contains."""

from __future__ import annotations

import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from ..errors import CheckpointError
from ..sharding.shards import whole
from ..vit.weights.file_kinds import DAMAGED_ZIP
from ..whole_files import written_whole


def write_checkpoint(checkpoint: dict, path: str | Path) -> None:
    """Write a checkpoint by :func:`written_whole`, without a second copy of it in memory; raises ``OSError``."""
    with written_whole(path) as file:
        try:
            torch.save(checkpoint, file)
        except RuntimeError as error:  # how torch reports that the file could not be written
            file.write(bytes(2**20))  # raises the cause, an OSError
            file.flush()
            raise OSError(str(error).splitlines()[0]) from error


def write_text(text: str, path: str | Path) -> None:
    """Write a small file by :func:`written_whole`; raises ``OSError``."""
    with written_whole(path) as file:
        file.write(text.encode())


def check_intact(path: str | Path) -> None:
    """Compare a checkpoint of ``torch.save`` with the checksums in it, which ``torch.load`` does not do.

    Raises:
        CheckpointError: the file is cut short, or a bit of it has changed.
    """
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except (*DAMAGED_ZIP, RuntimeError) as error:  # the last for a zip that says that it is encrypted
        raise CheckpointError(f"'{path}' is damaged ({error})") from error
    if damaged is not None:
        raise CheckpointError(f"'{path}' is damaged: {damaged} in it has another checksum than was written")


def run_state(runner: Runner, meta: dict, with_optimizer: bool = True, with_schedulers: bool = True) -> dict:
    """What a checkpoint contains, before :func:`on_cpu`: the parts of MMEngine's, under the same names."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    meta = dict(
        meta,
        cfg=runner.cfg.pretty_text,
        seed=runner.seed,
        experiment_name=runner.experiment_name,
        time=time.strftime('%Y%m%d_%H%M%S', time.localtime()),
        mmengine_version=mmengine.__version__,
    )
    if hasattr(runner.train_dataloader.dataset, 'metainfo'):
        meta['dataset_meta'] = runner.train_dataloader.dataset.metainfo
    state = dict(meta=meta, state_dict=model.state_dict(), message_hub=runner.message_hub.state_dict())
    if with_optimizer:
        state['optimizer'] = runner.optim_wrapper.state_dict()
    if with_schedulers:
        schedulers = runner.param_schedulers or []
        state['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]
    return state


def on_cpu(state: Any, copy: bool = False) -> Any:
    """Nested dictionaries and lists with their tensors on the CPU, whole where they are divided among processes.

    Args:
        copy: copy also the tensors that are on the CPU, so that training may go on while the result is written.
    """
    if isinstance(state, Tensor):
        state = whole(state.detach())
        return state.to('cpu', copy=True) if copy else state.cpu()
    if isinstance(state, dict):
        moved = type(state)()
        moved.update({name: on_cpu(value, copy) for name, value in state.items()})
        if hasattr(state, '_metadata'):  # versions of a model's layers
            moved._metadata = state._metadata  # type: ignore[attr-defined]
        return moved
    if type(state) in (list, tuple):
        return type(state)(on_cpu(value, copy) for value in state)
    return state


class BackgroundWriter:
    """Writes one thing at a time while training goes on."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Call ``write`` in another thread; the one before must have been waited for."""
        assert self._thread is None

        def run() -> None:
            try:
                write()
            except Exception as error:  # raised again by `wait`
                self._error = error

        self._thread = threading.Thread(target=run, name='checkpoint')
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether something is being written."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self) -> bool:
        """Wait until it is written, and raise what its writing raised; whether there was something, once."""
        if self._thread is None:
            return False
        self._thread.join()
        error, self._thread, self._error = self._error, None, None
        if error is not None:
            raise error
        return True
