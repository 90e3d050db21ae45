"""MMEngine reads checkpoints as data, never as code.

MMEngine tries the safe way first, and where a file asks for more, falls back to full unpickling, which runs what the
file says; its list of harmless names holds ``getattr``; files from the web are unpickled fully at once. :func:`install`
puts the reader of :mod:`mae_transfer.vit.checkpoint` in the place of all of these. What is left is not MMEngine's own
reading of checkpoints: DeepSpeed's and ColossalAI's, and pickles of data (``mmengine.load('results.pkl')``,
``BaseDataset`` annotation files).
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

from ..vit.checkpoint import CheckpointError, read_checkpoint

#: Backends that unpickle by other means where MMEngine has no single function for it (up to 0.10.7).
_REMOTE = ('pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://')


def install() -> None:
    """Make every way in which MMEngine loads a checkpoint weights-only; calling it again changes nothing.

    Covers ``load_checkpoint``, ``Runner.load_checkpoint``, ``Runner.resume``, ``load_from``, ``PretrainedInit``, the
    inferencers and ``CheckpointLoader`` with every scheme. A file that would run code raises
    :class:`~mae_transfer.vit.checkpoint.CheckpointError`.
    """
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(['http://', 'https://'], load_from_http, force=True)
    # The other schemes (torchvision://, open-mmlab://, mmcls://, s3://, pavi://) find these by name in their module.
    mmengine_checkpoint.load_from_local = load_from_local
    mmengine_checkpoint.load_from_http = load_from_http
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):
        mmengine_checkpoint._safe_torch_load = load_stream
    else:
        CheckpointLoader.register_scheme(list(_REMOTE), load_from_refused, force=True)


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """The checkpoint in a local file, on the CPU where no ``map_location`` is given."""
    return read_checkpoint(filename, map_location or 'cpu')


def load_stream(file: str | BinaryIO, map_location: Any = None, weights_only: bool | None = None) -> dict:
    """As MMEngine's ``_safe_torch_load``; refuses ``weights_only=False``."""
    if weights_only is False:
        raise CheckpointError(f'refused {file}: asked to read it with weights_only=False, which may run code')
    return read_checkpoint(file, map_location or 'cpu')


def load_from_http(
    filename: str, map_location: Any = None, model_dir: str | None = None, progress: bool = False
) -> dict:
    """Download a checkpoint once, then read it as a local file.

    Args:
        filename: its address.
        model_dir: where it is kept; by default the folder that ``torch.hub`` keeps checkpoints in.
        progress: show a bar.
    """
    folder = model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints')
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, os.path.basename(urlparse(filename).path))
    rank, world_size = get_dist_info()

    def fetch() -> None:
        if not os.path.exists(path):
            print(f'downloading {filename} to {path}', file=sys.stderr)
            torch.hub.download_url_to_file(filename, path, progress=progress)  # writes aside, then moves

    if rank == 0:
        fetch()
    if world_size > 1:
        torch.distributed.barrier()
        fetch()  # on machines that do not share rank 0's disk
    return read_checkpoint(path, map_location or 'cpu')


def load_from_refused(filename: str, map_location: Any = None) -> dict:
    """For schemes that this version of MMEngine can only unpickle fully."""
    raise CheckpointError(
        f"refused '{filename}': this MMEngine would unpickle it fully; fetch the file and give its local path"
    )
