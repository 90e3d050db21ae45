"""Write photos into shards: tar files of samples ``KEY.jpg``, ``KEY.cls``, as the webdataset library reads them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from ...errors import UserError
from ...paths import shown
from ...whole_files import PART, keep_names
from .exif import EXIF_ORIENTATION
from .image_files import SHARD
from .image_limits import decoding_up_to
from .image_reader import UNREADABLE
from .image_values import UnexpectedValues, image_values, opened_by_pillow, pillow_values
from .tar_index import key_of
from .unreadable import why_unreadable

#: Photos that a process is given at once, and those that are read ahead of what is written.
_CHUNK, _AHEAD = 16, 64


@dataclass(frozen=True)
class Reduction:
    """How photos are made smaller.

    Attributes:
        short_side: in pixels; photos whose shorter side is not longer are copied as they are.
        quality: of the JPEGs, from 1 to 100.
    """

    short_side: int
    quality: int = 95


@dataclass
class Written:
    """What :func:`write_shards` wrote.

    Attributes:
        photos: their number.
        shards: the names of the files.
        size: their bytes.
        unreadable: the photos that were left out, each with the reason.
        renamed: the photos whose names became others, because a key ends at the first dot and stands for one photo.
    """

    photos: int = 0
    shards: list[str] = field(default_factory=list)
    size: int = 0
    unreadable: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)


def sample_names(names: Sequence[str]) -> list[str]:
    """The names of members for photos: the same, but for dots within keys and keys that two photos would share."""
    taken, found = set[str](), list[str]()
    for name in names:
        stem, suffix = os.path.splitext(name)
        folder, slash, last = stem.rpartition('/')
        key = unique = f'{folder}{slash}{last.replace(".", "_")}'
        number = 1
        while unique in taken:
            number += 1
            unique = f'{key}_{number}'
        taken.add(unique)
        found.append(unique + suffix)
    return found


def sample_content(path: Path, reduction: Reduction | None = None) -> tuple[bytes, str]:
    """The content of a member for a photo, and its suffix: the file's own, or a JPEG of the reduced photo.

    A photo is reduced by bicubic interpolation with antialiasing, keeps its EXIF orientation, and becomes grey or RGB.

    Raises:
        UnexpectedValues: to be reduced, but not a photo of 8 bits and up to four channels.
        OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError: a file that is no image, by its header; or,
            to be reduced, one that cannot be decoded.
    """
    content, suffix = path.read_bytes(), path.suffix
    with decoding_up_to(None):
        values = image_values(content)
    if reduction is None:
        return content, suffix
    if values.dtype not in ('uint8', 'bool') or values.channels > 4:
        raise UnexpectedValues(f'has {values}, and only photos of 8 bits are reduced: leave out --short-side')
    with decoding_up_to(None), opened_by_pillow(io.BytesIO(content)) as file:
        if min(file.size) <= reduction.short_side:
            return content, suffix
        picture = file.convert('L' if pillow_values(file).channels == 1 else 'RGB')
        orientation = file.getexif().get(EXIF_ORIENTATION, 1)
    scale = reduction.short_side / min(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    exif = Image.Exif()
    if orientation != 1:
        exif[EXIF_ORIENTATION] = orientation
    reduced = io.BytesIO()
    picture.resize((width, height), Image.Resampling.BICUBIC).save(
        reduced, 'JPEG', quality=reduction.quality, exif=exif
    )
    return reduced.getvalue(), '.jpg'


def write_shards(
    root: Path,
    names: Sequence[str],
    out: Path,
    prefix: str,
    labels: Sequence[int] | None = None,
    reduction: Reduction | None = None,
    shard_size: int = 100_000_000,
    workers: int = 0,
    report: Callable[[int, int], None] = lambda done, count: None,
) -> Written:
    """Write photos into ``PREFIX-000000.tar.part``, ``PREFIX-000001.tar.part``, ..., in their order.

    The same photos give the same bytes, with any number of workers. :func:`name_shards` gives the files their names.

    Args:
        root: the folder of the photos.
        names: their paths, relative to it.
        out: the folder of the shards.
        labels: the class of each photo, written as ``KEY.cls``.
        reduction: None copies the files as they are.
        shard_size: a new shard begins before one would have more bytes.
        workers: processes that read, and reduce, the photos; 0 for none but this one.
        report: is called after each photo with the number of photos that are done and the number of all.

    Raises:
        UserError: no photo can be read; one that is to be reduced has other values than 8 bits; the disk is full.
    """
    written, members = Written(), sample_names(names)
    written.renamed = [name for name, member in zip(names, members) if name != member]
    out.mkdir(parents=True, exist_ok=True)
    shard: _Shard | None = None
    try:
        for done, content in enumerate(_contents(root, names, reduction, workers)):
            if isinstance(content, str):
                written.unreadable.append(f'{names[done]} ({content})' if content else names[done])
            else:
                key = key_of(members[done])
                files = {key + content[1]: content[0]}
                if labels is not None:
                    files[f'{key}.cls'] = str(labels[done]).encode()
                if shard is not None and _padded(shard.size + _size_of(files)) > shard_size:
                    written.size += shard.close()
                    shard = None
                if shard is None:
                    written.shards.append(f'{prefix}-{len(written.shards):06d}{SHARD}')
                    shard = _Shard(out / f'{written.shards[-1]}{PART}')
                shard.add(files)
                written.photos += 1
            report(done + 1, len(names))
        if shard is None:
            raise UserError(
                f'none of the {len(names)} photos in {shown(root)} can be read: {shown(written.unreadable[0])} is the '
                'first'
            )
        written.size += shard.close()
    except BaseException as error:
        remove_parts(out, written)
        if isinstance(error, OSError):
            raise UserError(f'{shown(out)} cannot be written to: {error.strerror}') from error
        raise
    return written


def remove_parts(out: Path, written: Written) -> None:
    """Remove shards that have no names yet."""
    for name in written.shards:
        (out / f'{name}{PART}').unlink(missing_ok=True)


def name_shards(out: Path, shards: Sequence[str]) -> None:
    """Give shards that are complete their names."""
    for name in shards:
        os.replace(out / f'{name}{PART}', out / name)
    keep_names(out)


def _contents(
    root: Path, names: Sequence[str], reduction: Reduction | None, workers: int
) -> Iterator[tuple[bytes, str] | str]:
    """For each photo its content and suffix, or why it cannot be read."""
    paths = (root / name for name in names)
    content_of = partial(_content_or_reason, reduction=reduction)
    if workers < 1:
        yield from map(content_of, paths)
        return
    with ProcessPoolExecutor(workers) as pool:
        waiting: list[Any] = []  # a pool's own map would read all photos at once into memory
        chunks = iter(lambda: list(islice(paths, _CHUNK)), [])
        for chunk in chunks:
            waiting.append(pool.submit(_contents_of_chunk, chunk, reduction))
            if len(waiting) > max(_AHEAD // _CHUNK, 2 * workers):
                yield from waiting.pop(0).result()
        for ended in waiting:
            yield from ended.result()


def _contents_of_chunk(paths: Sequence[Path], reduction: Reduction | None) -> list[tuple[bytes, str] | str]:
    return [_content_or_reason(path, reduction) for path in paths]


def _content_or_reason(path: Path, reduction: Reduction | None) -> tuple[bytes, str] | str:
    try:
        return sample_content(path, reduction)
    except UnexpectedValues as error:
        raise UserError(f'{shown(path)} {error}') from None
    except UNREADABLE as error:
        return why_unreadable(path, error)


def _size_of(files: dict[str, bytes]) -> int:
    """The bytes of members in a tar. A name of more than 100 bytes is a member of its own."""
    long_names = [name for name in map(os.fsencode, files) if len(name) > tarfile.LENGTH_NAME]
    contents = [*files.values(), *(name + b'\0' for name in long_names)]
    return sum(tarfile.BLOCKSIZE + _whole(len(content), tarfile.BLOCKSIZE) for content in contents)


def _padded(size: int) -> int:
    """The bytes of a tar with members of so many: two blocks mark its end, and fill a record."""
    return _whole(size + 2 * tarfile.BLOCKSIZE, tarfile.RECORDSIZE)


def _whole(size: int, unit: int) -> int:
    return -(-size // unit) * unit


class _Shard:
    """A tar file that is being written."""

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._file = open(path, 'wb')
        # GNU's format keeps names of any length and bytes; no member has a time or an owner.
        self._tar = tarfile.open(fileobj=self._file, mode='w', format=tarfile.GNU_FORMAT)

    def add(self, files: dict[str, bytes]) -> None:
        """Add members."""
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            self._tar.addfile(info, io.BytesIO(content))
        self.size += _size_of(files)

    def close(self) -> int:
        """Bring the file to the disk; its number of bytes."""
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return os.path.getsize(self._file.name)
