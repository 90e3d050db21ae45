"""Several processes on a machine without a GPU, which MMEngine's launchers do not foresee.

Its ``pytorch``, ``slurm`` and ``mpi`` launchers call ``torch.cuda.set_device``, its Runner hands DDP a device id, and
SyncBN has no CPU kernel. ``tools/`` call, in this order and before the Runner is built::

    start_group(launcher)
    adapt_to_cpu(cfg)

and ``end_process()`` at the end. The first two do nothing where MMEngine sees an accelerator.
"""

import logging
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping

import torch.distributed
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import MODEL_WRAPPERS
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..errors import UserError

# launcher: {what torch.distributed and MMEngine read: where the launcher put it}
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
    """Processes that were not started as the launcher's name says."""


def start_group(launcher: str) -> None:
    """Join the ranks by gloo where there is no GPU; MMEngine's Runner finds the group and does not start its own.

    Args:
        launcher: MMEngine's ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Raises:
        UserError: for another launcher.
        LaunchError: if the environment is not the one the launcher makes.
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
            f'start the ranks with {_STARTED_BY[launcher]}'
        )
    os.environ.update({name: os.environ[source] for name, source in sources.items()})
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_slurm_host()
    os.environ.setdefault('MASTER_PORT', '29500')  # torch's default, and MMEngine's
    torch.distributed.init_process_group('gloo')


def end_process(code: int = 0) -> None:
    """End this process; where it is one of several, without the interpreter's clean-up.

    The clean-up meets threads of gloo that outlive their group, and aborts the process after all its work is done
    (``terminate called without an active exception``: 2 of 20 pairs of processes here, although the group was left).
    """
    if not torch.distributed.is_initialized():
        sys.exit(code)
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
            f'scontrol does not name the first host of SLURM_NODELIST={nodes!r} ({error}): set MASTER_ADDR to it'
        ) from error


def adapt_to_cpu(cfg) -> None:
    """Change a config, in place, so that it runs without a GPU; with one, leave it alone.

    - in a distributed run the model's DDP wrapper is given no device ids; a wrapper's other fields stay as they are;
    - SyncBN becomes BN, wherever in the config it stands: a BN's statistics are then those of its own process.

    Args:
        cfg: an MMEngine ``Config`` or a dict.
    """
    if get_device() != 'cpu':
        return
    if torch.distributed.is_initialized() or cfg.get('launcher', 'none') != 'none':
        _wrap_without_device(cfg)
    replaced = _replace_sync_bn(cfg)
    if cfg.get('sync_bn') is not None:  # Runner's switch that turns every BN into SyncBN
        cfg['sync_bn'] = None
        replaced += 1
    if replaced and (not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0):
        print_log(
            f'No GPU: SyncBN has no CPU kernel, {replaced} setting(s) of it now read BN, with statistics per process',
            logger='current',
        )


def _wrap_without_device(cfg) -> None:
    wrapper = cfg.get('model_wrapper_cfg')
    if wrapper is None:
        # What the Runner itself chooses where the config names no wrapper.
        wrapper = dict(broadcast_buffers=False, find_unused_parameters=cfg.get('find_unused_parameters', False))
    wrapper = {'type': 'MMDistributedDataParallel', **wrapper}
    kind = MODEL_WRAPPERS.get(wrapper['type']) if isinstance(wrapper['type'], str) else wrapper['type']
    if isinstance(kind, type) and issubclass(kind, DistributedDataParallel):
        # Written out, None outlives the Runner's default, which is [LOCAL_RANK].
        wrapper['device_ids'] = None
        if 'output_device' in wrapper:
            wrapper['output_device'] = None
    cfg['model_wrapper_cfg'] = wrapper


def _replace_sync_bn(node) -> int:
    """Turn SyncBN into BN in every dict below ``node``; return how many were turned."""
    if isinstance(node, (list, tuple)):
        return sum(map(_replace_sync_bn, node))
    if not isinstance(node, Mapping) and not hasattr(node, 'items'):  # a Config is no Mapping
        return 0
    replaced = sum(_replace_sync_bn(value) for _, value in list(node.items()))
    kind = node.get('type')
    if kind is nn.SyncBatchNorm:
        kind = 'SyncBN'
    scope, dot, name = kind.rpartition('.') if isinstance(kind, str) else ('', '', '')
    if name in ('SyncBN', 'MMSyncBN'):
        node['type'] = f'{scope}{dot}BN'
        replaced += 1
    return replaced
