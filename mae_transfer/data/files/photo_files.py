"""Where the photos of a data set are: files of their own, or members of tar files."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError, shorten
from ...paths import shown
from .examination import MOST_EXAMINED
from .file_names import FileNames
from .image_files import evenly, warn_once
from .image_reader import ImageReader
from .shard_index import shard_indices
from .tar_index import AGAIN, LINKS, TarIndex, suffix_of
from .unreadable import told_by, why_unreadable

#: The most tar files that a process keeps open; the usual limit of a process is 1024 files.
_MOST_OPEN = 256


class PhotoFiles:
    """N photos, each a file below a folder.

    Args:
        root: the folder.
        names: the paths of the files, relative to it.
    """

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root, self.names = root, names if isinstance(names, FileNames) else FileNames(names)

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        """The path of a photo, for messages."""
        return self.root / self.names[index]

    def source(self, index: int) -> Path | bytes:
        """What an :class:`~mae_transfer.data.files.image_reader.ImageReader` reads: a path, or a file's content.

        Raises:
            OSError: it cannot be read.
        """
        return self.path(index)

    def own_names(self) -> list[bytes]:
        """The names by whose hashes photos are chosen: the same, however the photos are packed."""
        return self.names.encoded()

    def select(self, places: Sequence[int] | np.ndarray) -> PhotoFiles:
        """Some of the photos."""
        return PhotoFiles(self.root, self.names.select(places))

    def examine(self, reader: ImageReader) -> None:
        """Look at the headers of some photos, evenly spaced.

        Raises:
            UserError: see :meth:`~mae_transfer.data.files.image_reader.ImageReader.examine`.
        """
        reader.examine([self.path(place) for place in evenly(len(self), MOST_EXAMINED)])

    def why_unreadable(self, index: int, error: Exception) -> str:
        """See :func:`~mae_transfer.data.files.unreadable.why_unreadable`."""
        return why_unreadable(self.path(index), error)


class ShardPhotos(PhotoFiles):
    """N photos in tar files. Each is read by itself, from its place in the file, so that any order is as exact as
    with files.

    A name is the tar's and the member's: ``train-000000.tar/n01440764/x.jpg``. Each process opens a tar when it reads
    the first photo of it.

    Args:
        root: the folder of the tars.
        shards: their paths, relative to it.
        names: of the photos.
        numbers: (N,), for each photo the number of its tar among ``shards``.
        offsets, sizes: (N,) int64, see :class:`~mae_transfer.data.files.tar_index.TarIndex`.
        labels: of the photos, as text; '' for none.
    """

    def __init__(
        self,
        root: Path,
        shards: Sequence[str],
        names: Iterable[str],
        numbers: np.ndarray,
        offsets: np.ndarray,
        sizes: np.ndarray,
        labels: FileNames,
    ) -> None:
        super().__init__(root, names)
        self.shards, self.labels = FileNames(shards), labels
        self._numbers, self._offsets, self._sizes = numbers, offsets, sizes
        self._open: OrderedDict[int, FileIO] = OrderedDict()  # by the number of a tar, the last used at the end

    @classmethod
    def of_shards(cls, root: Path, shards: Sequence[str], suffixes: tuple[str, ...]) -> ShardPhotos:
        """The photos in tar files, in the order in which they lie there. What is left out is told in the log.

        Args:
            root: the folder of the tars.
            shards: their paths, relative to it.
            suffixes: of photos, in lower case.

        Raises:
            UserError: a tar that cannot be used; see :func:`~mae_transfer.data.files.tar_index.tar_index`; no photo.
        """
        indices = shard_indices(root, shards)
        counts = [len(index.names) for index in indices]
        photos = cls(
            *(root, shards, FileNames.joined((f'{shard}/', index.names) for shard, index in zip(shards, indices))),
            np.repeat(np.arange(len(shards), dtype=np.int32), counts),
            np.concatenate([index.offsets for index in indices]),
            np.concatenate([index.sizes for index in indices]),
            FileNames.joined(('', index.labels) for index in indices),
        )
        wanted = tuple(map(os.fsencode, suffixes))
        are_wanted = np.array([name.lower().endswith(wanted) for name in photos.names.encoded()], bool)
        _tell(root, shards, indices, photos.names.select(np.flatnonzero(~are_wanted)))
        if not are_wanted.any():
            raise UserError(f'no image in {_tars(root, shards)}: looked for {", ".join(suffixes)} in them')
        return photos if are_wanted.all() else photos.select(np.flatnonzero(are_wanted))

    def source(self, index: int) -> bytes:
        """See the base class."""
        return self._read(index, int(self._sizes[index]))

    def own_names(self) -> list[bytes]:
        """See the base class: the names of the members."""
        lengths = np.array([len(shard) + 1 for shard in self.shards.encoded()])
        return self.names.encoded(lengths[self._numbers])

    def select(self, places: Sequence[int] | np.ndarray) -> ShardPhotos:
        """See the base class."""
        kept = np.asarray(places, np.int64)
        return ShardPhotos(
            *(self.root, self.shards, self.names.select(kept), self._numbers[kept]),
            *(self._offsets[kept], self._sizes[kept], self.labels.select(kept)),
        )

    def examine(self, reader: ImageReader) -> None:
        """See the base class."""
        contents = dict[Path, bytes]()
        for place in evenly(len(self), MOST_EXAMINED):
            try:
                contents[self.path(place)] = self.source(place)
            except OSError:  # is told when it is to be used
                continue
        reader.examine([*contents], contents)

    def why_unreadable(self, index: int, error: Exception) -> str:
        """See the base class."""
        try:
            return told_by(self._read(index, min(64, int(self._sizes[index]))))
        except OSError as fault:
            return fault.strerror or str(fault)

    def _read(self, index: int, size: int) -> bytes:
        """The first bytes of a photo."""
        number = int(self._numbers[index])
        if (file := self._open.get(number)) is None:
            if len(self._open) >= _MOST_OPEN:
                self._open.popitem(last=False)[1].close()
            file = self._open[number] = open(self.root / self.shards[number], 'rb', buffering=0)
        self._open.move_to_end(number)
        content = os.pread(file.fileno(), size, int(self._offsets[index]))
        if len(content) < size:
            raise OSError(f'{self.shards[number]} has become shorter')
        return content

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__, _open=OrderedDict())  # another process opens the files itself


def _tell(root: Path, shards: Sequence[str], indices: Sequence[TarIndex], other_photos: Sequence[str]) -> None:
    """Log what is left out of tars, and what may be missing in them."""
    counts: dict[str, int] = {}
    for index in indices:
        for kind, count in index.others.items():
            counts[kind] = counts.get(kind, 0) + count
    for name in other_photos:
        counts[suffix_of(name)] = counts.get(suffix_of(name), 0) + 1
    for kind, what in ((LINKS, 'links are passed over'), (AGAIN, 'of members of one name the last counts')):
        if count := counts.pop(kind, 0):
            warn_once(f'{_tars(root, shards)}: {what} ({count})')
    if counts:
        most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kinds = shorten((f'{shown(kind) or "no suffix"} {count}' for kind, count in most), 8)
        warn_once(f'{_tars(root, shards)}: members that are no photos or labels are passed over: {kinds}')
    if unended := [shard for shard, index in zip(shards, indices) if not index.is_ended]:
        warn_once(
            f"{_tars(root, shards)}: {len(unended)} end without the mark of an archive's end, e.g. "
            f'{shown(unended[0])}: photos may be missing there'
        )


def _tars(root: Path, shards: Sequence[str]) -> str:
    return shown(root / shards[0]) if len(shards) == 1 else f'the {len(shards)} shards in {shown(root)}'
