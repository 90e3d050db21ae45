"""Where the photos of many tar files are: read from them once, and kept in a file until a tar changes."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import time
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import UserError, shorten
from ...paths import shown
from ...progress import progress
from ...whole_files import written_whole
from .file_names import FileNames
from .image_files import warn_once
from .tar_index import INDEXED, TarIndex, tar_index

#: The file beside tars that says where the photos in them are.
INDEX_FILE = '.mae_transfer_index.npz'
#: Changes when files with another content are not to be read any more.
_VERSION = f'1 {" ".join(sorted(INDEXED))}'

#: Size and time of change, in ns, of a tar.
_Stamp = tuple[int, int]


class _Kept(NamedTuple):
    """What is known of a tar."""

    stamp: _Stamp
    tar: TarIndex


def shard_indices(root: Path, shards: Sequence[str]) -> list[TarIndex]:
    """The index of each tar file, from the file that keeps them; what is missing there, or has changed, is read.

    They are kept beside the tars, or, where nothing can be written, in the user's cache. One line in the log says how
    many were read, and where they are kept.

    Args:
        root: a folder.
        shards: the paths of tars in it.

    Raises:
        UserError: a tar that cannot be used; see :func:`~mae_transfer.data.files.tar_index.tar_index`.
    """
    with ThreadPoolExecutor(16) as threads:  # a network disk takes a millisecond for each
        stamps = dict(zip(shards, threads.map(lambda shard: _stamp(root / shard), shards)))
    place, known = _read_kept(root, stamps)
    changed = [shard for shard in shards if shard not in known or known[shard].stamp != stamps[shard]]
    if changed:
        began = time.monotonic()
        found = _read(root, changed)
        faults = [str(index) for index in found if isinstance(index, UserError)]
        known.update({s: _Kept(stamps[s], index) for s, index in zip(changed, found) if isinstance(index, TarIndex)})
        place = _keep(root, known)
        if faults:
            raise UserError(f'{len(faults)} of {len(shards)} shards cannot be used: {shorten(faults, 3)}')
    indices = [known[shard].tar for shard in shards]
    photos = sum(len(index.names) for index in indices)
    told = f'{shown(root)}: {photos} photos in {len(shards)} shards; where they are is '
    if changed:
        told += f'read from {len(changed)} of these in {time.monotonic() - began:.1f} s, '
        told += f'and kept in {shown(place)}' if place else 'and cannot be kept: no folder can be written to'
    else:
        told += f'known from {shown(place or "")}'
    warn_once(told, logging.INFO)
    return indices


def _stamp(path: Path) -> _Stamp:
    try:
        status = os.stat(path)
    except OSError as error:
        raise UserError(f'{shown(path)} cannot be read: {error.strerror}') from error
    return status.st_size, status.st_mtime_ns


def _read(root: Path, shards: Sequence[str]) -> list[TarIndex | UserError]:
    """Read the index of each tar, by several processes: Python takes 15 microseconds for a member."""
    paths = [root / shard for shard in shards]
    processes = min(len(shards), (os.cpu_count() or 1) // int(os.environ.get('LOCAL_WORLD_SIZE', 1)), 32)
    what = f'shards of {shown(root)} looked through, which is done once'
    if processes < 2 or multiprocessing.current_process().daemon:
        return list(progress(map(_index_or_fault, paths), what, len(paths)))
    with ProcessPoolExecutor(processes, multiprocessing.get_context('fork')) as pool:
        return list(progress(pool.map(_index_or_fault, paths), what, len(paths)))


def _index_or_fault(path: Path) -> TarIndex | UserError:
    try:
        return tar_index(path)
    except UserError as error:
        return error


# The file ------------------------------------------------------------------------------------------------------------


def _places(root: Path) -> list[Path]:
    """The files that may keep the indices of the tars in a folder: beside them, and in the user's cache."""
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
    return [root / INDEX_FILE, Path(cache, 'mae_transfer', 'shards', f'{name}.npz')]


def _read_kept(root: Path, stamps: Mapping[str, _Stamp]) -> tuple[Path | None, dict[str, _Kept]]:
    """The first file with indices that still hold, and what all files keep; one that is damaged counts as none."""
    used, known = None, dict[str, _Kept]()
    for place in _places(root):
        try:
            found = _unpacked(place)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            warn_once(f'{shown(place)} is damaged, and not used ({type(error).__name__}: {shown(str(error))})')
            continue
        for shard, kept in found.items():
            holds = kept.stamp == stamps.get(shard)
            used = used or (place if holds else None)
            if holds or shard not in known:
                known[shard] = kept
    return used, known


def _keep(root: Path, known: Mapping[str, _Kept]) -> Path | None:
    """Write what is known of the tars that still exist; the file, or None where none can be written."""
    known = {shard: kept for shard, kept in known.items() if os.path.exists(root / shard)}
    for place in _places(root):
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            own = place.with_name(f'{place.name}.{uuid.uuid4().hex}')  # several processes may write at once
            with written_whole(own) as file:
                np.savez(file, **_packed(known))  # type: ignore[arg-type]
            os.replace(own, place)
            return place
        except OSError:
            continue
    return None


def _packed(known: Mapping[str, _Kept]) -> dict[str, np.ndarray]:
    """What is known as a few arrays: of all photos of all tars, one after the other."""
    indices = [kept.tar for kept in known.values()]
    told = dict(
        version=_VERSION,
        shards=list(known),
        stamps=[kept.stamp for kept in known.values()],
        counts=[len(index.names) for index in indices],
        others=[index.others for index in indices],
        ended=[index.is_ended for index in indices],
    )
    arrays = dict(told=np.frombuffer(json.dumps(told).encode(), np.uint8))
    for name in ('offsets', 'sizes'):
        arrays[name] = np.concatenate([np.zeros(0, np.int64), *(getattr(index, name) for index in indices)])
    for name in ('names', 'labels'):
        texts: list[FileNames] = [getattr(index, name) for index in indices]
        arrays[f'{name}_text'] = np.frombuffer(b''.join(one.text for one in texts), np.uint8)
        arrays[f'{name}_lengths'] = np.concatenate(
            [np.zeros(0, np.int64), *(np.diff(one.ends, prepend=0) for one in texts)]
        )
    return arrays


def _unpacked(place: Path) -> dict[str, _Kept]:
    """What a file keeps; nothing, if it is of another version.

    Raises:
        OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile: a file that is missing or damaged.
    """
    with np.load(place, allow_pickle=False) as file:
        told = json.loads(file['told'].tobytes())
        if told['version'] != _VERSION:
            return {}
        arrays = {name: file[name] for name in file.files if name != 'told'}
    bounds = np.cumsum([0, *told['counts']])
    if any(len(array) != bounds[-1] for name, array in arrays.items() if not name.endswith('_text')):
        raise ValueError('its parts do not fit together')
    known = {}
    texts = {name: arrays[f'{name}_text'].tobytes() for name in ('names', 'labels')}
    ends = {name: np.cumsum(arrays[f'{name}_lengths']) for name in texts}
    for number, shard in enumerate(told['shards']):
        part = slice(bounds[number], bounds[number + 1])
        names, labels = (_block(texts[name], ends[name], part) for name in texts)
        index = TarIndex(
            *(names, arrays['offsets'][part], arrays['sizes'][part], labels),
            *(told['others'][number], told['ended'][number]),
        )
        known[shard] = _Kept(tuple(told['stamps'][number]), index)
    return known


def _block(text: bytes, ends: np.ndarray, part: slice) -> FileNames:
    """Some of the names of a block."""
    start = int(ends[part.start - 1]) if part.start else 0
    stop = int(ends[part.stop - 1]) if part.stop > part.start else start
    return FileNames.of_block(text[start:stop], ends[part] - start)
