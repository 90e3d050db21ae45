"""Find image files in folder trees. Names are kept as they are stored, also where they are not UTF-8."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from PIL import features

from ...errors import UserError, shorten
from ...paths import shown
from ...progress import Progress
from .bands import Bands, resolve_bands
from .folders_ahead import MOST_AHEAD, FoldersAhead, Identity, identity

#: The suffixes, in lower case, of image files that Pillow reads. Of an animation the first picture is read.
SUFFIXES = (
    *('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif'),
    *('.ppm', '.pgm', '.pbm', '.pnm'),
    *(('.jp2', '.j2k') if features.check('jpg_2000') else ()),
    *(('.avif',) if features.check('avif') else ()),
)
#: Of arrays, which are images where their bands are numbered.
ARRAYS = ('.npy',)
#: Of tar files with photos, and of compressed ones.
SHARD = '.tar'
_COMPRESSED = re.compile(r'\.tar\.(gz|bz2|xz|zst)$|\.t[gbx]z$')
#: Of arrays, volumes and raw images of science, medicine and cameras.
_TO_CONVERT = (
    *('.dcm', '.dicom', '.nii', '.nii.gz', '.nrrd', '.mha', '.h5', '.hdf5', '.mat', '.nc', '.npz', '.fits', '.exr'),
    *('.hdr', '.bsq', '.bil', '.bip', '.vrt', '.czi', '.nd2', '.svs', '.heic', '.dng', '.cr2', '.nef', '.arw'),
)
#: Folders that operating systems and network disks add; what is in them are no photos of the user's.
_SYSTEM_FOLDERS = ('__MACOSX', '@eaDir', '$RECYCLE.BIN', 'System Volume Information', 'lost+found')
_RUN = re.compile(r'\d{8}_\d{6}')
#: The first bytes of archives and compressed files: zip, gzip, bzip2, xz, zstd, 7z, rar.
_ARCHIVES = (
    *(b'PK\x03\x04', b'\x1f\x8b\x08', b'BZh91AY&SY', b'\xfd7zXZ\x00', b'\x28\xb5\x2f\xfd'),
    *(b'7z\xbc\xaf\x27\x1c', b'Rar!\x1a\x07'),
)


def suffixes_of(bands: Bands) -> tuple[str, ...]:
    """The suffixes of image files of which these bands can be read."""
    return SUFFIXES if isinstance(resolve_bands(bands), str) else (*SUFFIXES, *ARRAYS)


def is_hidden(name: str) -> bool:
    """Whether files and folders of this name are passed over: ``.git``, ``.ipynb_checkpoints``, ``._photo.jpg``."""
    return name.startswith('.') or name in _SYSTEM_FOLDERS


def ancestors(folder: str | os.PathLike) -> set[Identity]:
    """A folder and all that contain it. A link from within it to one of them leads round in a circle."""
    return {identity(path) for path in (Path(folder).resolve(), *Path(folder).resolve().parents)}


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, for instance
        return False


def holds_a_run(entries: Iterable[os.DirEntry]) -> bool:
    """Whether a folder of these entries is a work_dir of MMEngine, which has a folder named by the time of each run."""
    return any(_RUN.fullmatch(entry.name) and os.path.isdir(os.path.join(entry.path, 'vis_data')) for entry in entries)


class ImageSearch:
    """A search for images in a folder and all folders below, or in some of these, which notes what it leaves out.

    Hidden files and folders are passed over without a word. Linked folders are followed; a folder that several paths
    lead to is entered once. A link to a file counts as a file.

    Args:
        root: the folder of the data set, for messages. Links that lead to it, or to a folder that contains it, are not
            followed.
        suffixes: of the names that count, in lower case.
        closed: other folders that are entered only where the search begins in them.
    """

    def __init__(
        self, root: str | os.PathLike, suffixes: tuple[str, ...] = SUFFIXES, closed: Collection[Identity] = ()
    ) -> None:
        self.root, self.suffixes, self._closed = root, suffixes, ancestors(root) | set(closed)
        self._passed_over: Counter[str] = Counter()  # numbers of files by their suffix
        self._example: dict[str, str] = {}  # for each suffix
        self._met_again: list[str] = []
        self._refused: list[str] = []
        self._runs: list[str] = []

    def below(self, folder: str | os.PathLike) -> list[str]:
        """The sorted paths, relative to ``folder``, of the images in it and in all folders below."""
        return self.below_each([folder])[0]

    def below_each(self, folders: Iterable[str | os.PathLike]) -> list[list[str]]:
        """What :meth:`below` gives for each of these folders."""
        starts = [os.fspath(folder) for folder in folders]
        with FoldersAhead() as ahead, Progress(f'images found in {shown(self.root)}') as told:
            found, before = [], 0
            for place, start in enumerate(starts):
                ahead.read(starts[place : place + MOST_AHEAD])
                found.append(self._below(start, ahead, told, before))
                before += len(found[-1])
        return found

    def _below(self, start: str, ahead: FoldersAhead, told: Progress, before: int) -> list[str]:
        names, entered = list[str](), ancestors(start) if os.path.islink(start) else set()
        folders, links = [('', start)], deque[tuple[str, str]]()
        # Links are followed when all else is done, so that a photo's name does not depend on links to its folder.
        while folders or links:
            ahead.read(path for _, path in folders[-MOST_AHEAD:])
            told(before + len(names))
            prefix, path = folders.pop() if folders else links.popleft()
            try:
                folder = ahead.take(path)
                if prefix:
                    if folder.identity in entered or folder.identity in self._closed:
                        self._met_again.append(path)
                        continue
                    entered.add(folder.identity)
                entries = folder.entries()
                if holds_a_run(entries):
                    if not prefix:
                        raise UserError(
                            f'{shown(path)} is the work_dir of a run, whose pictures would count as images: move the '
                            'images to a folder of their own'
                        )
                    self._runs.append(path)
                    continue
                inner = sorted(self._sort(entries, prefix, names))
            except OSError as error:
                self._refused.append(f'{path} ({error.strerror})')
                continue
            for name, below, leads_away in inner:
                (links if leads_away else folders).append((f'{prefix}{name}/', below))
        return sorted(names)

    def _sort(self, entries: Iterable[os.DirEntry], prefix: str, names: list[str]) -> Iterator[tuple[str, str, bool]]:
        """Add the images among entries to ``names``, and yield (name, path, whether it is a link) of the folders."""
        for entry in entries:
            name = entry.name
            if is_hidden(name):
                continue
            if is_folder(entry):
                yield name, entry.path, entry.is_symlink()
            elif name.lower().endswith(self.suffixes) and _is_file(entry):
                names.append(prefix + name)
            else:
                suffix = suffix_of(name)
                self._passed_over[suffix] += 1
                self._example[suffix] = min(prefix + name, self._example.get(suffix, prefix + name))

    def notes(self, untold: Collection[str] = ()) -> tuple[str, ...]:
        """A line for each kind of files and folders that the search left out, with their number and examples.

        Args:
            untold: suffixes of files that were left out for another use.
        """
        lines = []
        passed_over = Counter({suffix: n for suffix, n in self._passed_over.items() if suffix not in untold})
        if passed_over:
            most = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
            kinds = shorten((f'{shown(suffix) or "no suffix"} {count}' for suffix, count in most), 8)
            lines.append(
                f'{shown(self.root)}: files that are no images by their suffix are passed over '
                f"({passed_over.total()}): {kinds}; e.g. '{shown(self._example[most[0][0]])}'{_advice(passed_over)}"
            )
        for folders, what in (
            (self._met_again, 'links to folders that are searched anyway are not followed'),
            (self._runs, 'work_dirs of runs are passed over'),
            (self._refused, 'folders that cannot be read are passed over'),
        ):
            if folders:
                lines.append(f'{shown(self.root)}: {what} ({len(folders)}): {shorten(map(shown, sorted(folders)), 3)}')
        return tuple(lines)


def _advice(passed_over: Collection[str]) -> str:
    """What to do with files of these suffixes, which were passed over and hold images."""
    to_convert = [suffix for suffix in _TO_CONVERT if suffix in passed_over]
    advice = [_conversion(to_convert)] if to_convert else []
    arrays = [suffix for suffix in ARRAYS if suffix in passed_over]
    advice += [f'set bands to the numbers of the channels to read {shorten(arrays)}, e.g. bands=1'] * bool(arrays)
    if SHARD in passed_over:
        advice.append(f'{SHARD} files are read only where there are no images beside them')
    if any(_COMPRESSED.search(suffix) for suffix in passed_over):
        advice.append('compressed tars must be plain ones, e.g. by gunzip')
    return f': {"; ".join(advice)}' if advice else ''


def suffix_of(name: str) -> str:
    """The suffix of a file's name, in lower case; '.nii.gz' and '.tar.gz' are one."""
    lower = name.lower()
    if match := _COMPRESSED.search(lower):
        return match[0]
    return next(filter(lower.endswith, ('.nii.gz',)), os.path.splitext(lower)[1])


def conversion_of(name: str) -> str:
    """What to do with a file that is no image by its suffix, but known to hold one; '' for others."""
    return _conversion([suffix]) if (suffix := suffix_of(name)) in _TO_CONVERT else ''


def _conversion(suffixes: list[str]) -> str:
    return f'convert {shorten(suffixes)} to TIFF or NPY, with all values'


def _is_file(entry: os.DirEntry) -> bool:
    """Whether an entry is a file, or a link that leads nowhere, which is told when it is read; no pipe, no socket."""
    try:
        return entry.is_file() or entry.is_symlink() and not os.path.exists(entry.path)
    except OSError:  # a link to itself
        return True


def images_below(root: str | os.PathLike, suffixes: tuple[str, ...] = SUFFIXES) -> list[str]:
    """The sorted paths, relative to ``root``, of the images in it and in all folders below; see :class:`ImageSearch`.

    What was left out is told in the log; not tar files where there are no images, which are then read.

    Args:
        suffixes: of the names that count, in lower case.
    """
    search = ImageSearch(root, suffixes)
    names = search.below(root)
    for note in search.notes(() if names else (SHARD,)):
        warn_once(note)
    return names


@cache
def warn_once(line: str, level: int = logging.WARNING) -> None:
    """Log a warning, unless this process has logged it before: several data sets read the same files."""
    print_log(line, logger='current', level=level)


def evenly(count: int, most: int) -> list[int]:
    """Up to ``most`` of the numbers below ``count``, evenly spaced, the first and the last included."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(most, count)).round()})


def is_archive(file: str | os.PathLike) -> bool:
    """Whether a file is an archive or compressed.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open(file, 'rb') as opened:
            head = opened.read(512)
    except OSError as error:
        raise UserError(f'data_root {shown(file)} cannot be read: {error.strerror}') from error
    return head.startswith(_ARCHIVES) or head[257:262] == b'ustar'
