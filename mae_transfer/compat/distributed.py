"""Distributed training on machines without a GPU, which MMEngine does not support.

Its ``pytorch``, ``slurm`` and ``mpi`` launchers call ``torch.cuda.set_device``, its Runner passes a device id to DDP,
and SyncBN has no CPU kernel. The tools call :func:`start_group` before the Runner is built and :func:`end_process` at
the end; ``StrictRunner`` calls the other functions. If MMEngine finds an accelerator, :func:`start_group` does nothing.
"""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping

import torch.distributed
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import UserError
from ..kinds import is_kind

#: launcher -> {environment variable of torch.distributed and MMEngine: the launcher's variable for it}
_ENVIRONMENT = {
    'pytorch': {name: name for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')},
    'slurm': {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'},
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
        'MASTER_ADDR': 'MASTER_ADDR',
    },
}
_STARTED_BY = {'pytorch': 'torchrun (tools/dist_train.sh)', 'slurm': 'srun', 'mpi': 'mpirun, with MASTER_ADDR set'}


class LaunchError(UserError, RuntimeError):
    """The processes were not started by the launcher that was named."""


def start_group(launcher: str) -> None:
    """Start a gloo process group if there is no GPU; MMEngine's Runner then uses it instead of starting its own.

    Args:
        launcher: MMEngine's ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        UserError: an unknown launcher.
        LaunchError: the launcher's environment variables are not set.
    """
    if launcher == 'none' or get_device() != 'cpu' or torch.distributed.is_initialized():
        return
    if launcher not in _ENVIRONMENT:
        raise UserError(f"launcher {launcher!r} is unknown: choose 'none', {', '.join(map(repr, _ENVIRONMENT))}")
    sources = _ENVIRONMENT[launcher]
    missing = [name for name in sources.values() if name not in os.environ]
    if missing:
        raise LaunchError(
            f'launcher {launcher!r} finds no {", ".join(missing)} in the environment: '
            f'start the processes with {_STARTED_BY[launcher]}'
        )
    os.environ.update({name: os.environ[source] for name, source in sources.items()})
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_host()
    os.environ.setdefault('MASTER_PORT', '29500')  # torch's default, and MMEngine's
    torch.distributed.init_process_group('gloo')


def is_restart() -> bool:
    """Whether torchrun started this process again after one of the run failed (``--max-restarts``)."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)) > 0


def let_workers_end() -> None:
    """From here on the end of a data loader's worker is no error.

    torch's handler of SIGCHLD raises it within whatever runs at that moment. At the end of a run, which the worker may
    be the reason of, that prints a traceback below the line that names the reason.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def end_process(code: int = 0) -> None:
    """End a tool. One of several processes ends immediately, without the interpreter's clean-up.

    That clean-up would abort some processes after all their work is done, because threads of gloo outlive their group
    (``terminate called without an active exception`` in 2 of 20 pairs of processes, although the group was destroyed).
    """
    let_workers_end()
    if not torch.distributed.is_initialized():
        if code:
            sys.exit(code)
        return
    if not code:
        torch.distributed.destroy_process_group()
    for worker in multiprocessing.active_children():
        worker.terminate()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _first_slurm_host() -> str:
    nodes = os.environ.get('SLURM_NODELIST', '')
    try:
        hosts = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True, text=True, check=True)
        return hosts.stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise LaunchError(
            f'scontrol cannot resolve the first host of SLURM_NODELIST={nodes!r} ({error}): set MASTER_ADDR to it'
        ) from error


def without_sync_bn(model: nn.Module, cfg: Mapping) -> nn.Module:
    """Replace SyncBN, which has no CPU kernel, by BN: its statistics are then per process.

    Args:
        model: changed in place.
        cfg: the run's config.

    Raises:
        UserError: the config's ``sync_bn`` asks for SyncBN everywhere.
    """
    if cfg.get('sync_bn') is not None:
        raise UserError(f"sync_bn='{cfg['sync_bn']}' needs a GPU, and there is none: set sync_bn=None")
    if count := sum(isinstance(module, nn.SyncBatchNorm) for module in model.modules()):
        model = revert_sync_batchnorm(model)
        print_log(
            f'No GPU: {count} SyncBN layers, which have no CPU kernel, become BN with statistics per process',
            logger='current',
        )
    return model


def wrapper_without_device(settings: Mapping | None, cfg: Mapping) -> dict:
    """A model wrapper's settings without device ids if it is DDP; other settings stay as they are.

    Args:
        settings: the config's ``model_wrapper_cfg``; None for the Runner's default.
        cfg: the run's config.
    """
    if settings is None:
        settings = dict(broadcast_buffers=False, find_unused_parameters=cfg.get('find_unused_parameters', False))
    settings = {'type': 'MMDistributedDataParallel', **settings}
    if is_kind(settings, MODEL_WRAPPERS, cfg.get('default_scope'), DistributedDataParallel):
        # An explicit None overrides the Runner's default, which is [LOCAL_RANK].
        settings['device_ids'] = None
        if 'output_device' in settings:
            settings['output_device'] = None
    return settings


def average_in_order(model: nn.Module) -> None:
    """Let DDP average the gradients of three and more processes in the order of the processes.

    In gloo's ring a number's place in its bucket decides in which order the processes are added, and DDP fills its
    buckets anew after the first step of a run, a resumed one too: their rounding would differ.
    """
    if isinstance(model, DistributedDataParallel) and torch.distributed.get_world_size() > 2:
        model.register_comm_hook(None, _mean_in_order)


def _mean_in_order(_: object, bucket: torch.distributed.GradBucket) -> torch.futures.Future[torch.Tensor]:
    own = bucket.buffer()
    parts = [torch.empty_like(own) for _ in range(torch.distributed.get_world_size())]
    gathered = torch.distributed.all_gather(parts, own, async_op=True)
    return gathered.get_future().then(lambda _: own.copy_(sum(parts[1:], parts[0])).div_(len(parts)))
