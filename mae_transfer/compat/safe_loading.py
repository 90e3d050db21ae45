"""Makes MMEngine read checkpoints as data, never as code.

MMEngine first tries to load only weights. If a file needs more, it unpickles the file fully, which runs any code in it;
its list of safe names contains ``getattr``; and it unpickles files from the web fully in any case. :func:`install`
replaces all of this by :func:`mae_transfer.vit.weights.checkpoint.read_checkpoint`. Not covered are checkpoints that
DeepSpeed or ColossalAI read, and pickled data (``mmengine.load('results.pkl')``, ``BaseDataset`` annotation files).
"""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO
from urllib.parse import urlparse

import torch
from mmengine.dist import get_dist_info
from mmengine.runner import CheckpointLoader
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..vit.weights.checkpoint import CheckpointError, read_checkpoint

#: Backends that unpickle files themselves in versions of MMEngine without ``_safe_torch_load`` (up to 0.10.7).
_REMOTE = ('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://')


def install() -> None:
    """Make every way in which MMEngine loads a checkpoint weights-only; idempotent.

    This covers ``load_checkpoint``, ``Runner.load_checkpoint``, ``Runner.resume``, ``load_from``, ``PretrainedInit``,
    the inferencers and ``CheckpointLoader`` with every scheme. A file that would run code then raises
    :class:`~mae_transfer.errors.CheckpointError`.
    """
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(['http://', 'https://'], load_from_http, force=True)
    # The other schemes (torchvision://, open-mmlab://, mmcls://, s3://, pavi://) look these up in their module.
    mmengine_checkpoint.load_from_local = load_from_local
    mmengine_checkpoint.load_from_http = load_from_http
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):
        mmengine_checkpoint._safe_torch_load = load_stream
    else:
        CheckpointLoader.register_scheme(list(_REMOTE), refuse_to_load, force=True)


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Read a local checkpoint, by default to the CPU."""
    return read_checkpoint(filename, map_location or 'cpu')


def load_stream(file: str | BinaryIO, map_location: Any = None, weights_only: bool | None = None) -> dict:
    """Replaces MMEngine's ``_safe_torch_load``; refuses ``weights_only=False``."""
    if weights_only is False:
        raise CheckpointError(f'refused {file}: weights_only=False may run code; leave it out')
    return read_checkpoint(file, map_location or 'cpu')


def load_from_http(
    filename: str, map_location: Any = None, model_dir: str | None = None, progress: bool = False
) -> dict:
    """Download a checkpoint unless it is there already, then read it.

    Args:
        filename: URL.
        model_dir: folder for the file; by default that of ``torch.hub``.
        progress: show a progress bar.
    """
    folder = model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints')
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, os.path.basename(urlparse(filename).path))
    rank, world_size = get_dist_info()

    def download() -> None:
        if not os.path.exists(path):
            print(f'downloading {filename} to {path}', file=sys.stderr)
            torch.hub.download_url_to_file(filename, path, progress=progress)  # moves it there when complete

    if rank == 0:
        download()
    if world_size > 1:
        torch.distributed.barrier()
        download()  # on machines that do not share the disk of rank 0
    return read_checkpoint(path, map_location or 'cpu')


def refuse_to_load(filename: str, map_location: Any = None) -> dict:
    """Replaces the loaders of schemes that this version of MMEngine can only unpickle fully."""
    raise CheckpointError(
        f"refused '{filename}': this MMEngine would unpickle it fully; download the file and give its local path"
    )
