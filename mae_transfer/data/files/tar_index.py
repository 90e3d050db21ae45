"""Where the photos in a tar file are, and their labels: WebDataset's samples, members whose names begin alike.

A sample is ``KEY.jpg`` and beside it ``KEY.cls`` or ``KEY.json``. The key ends at the first dot of the name's last
part, as in the webdataset library.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...paths import shown
from .file_names import FileNames
from .image_files import ARRAYS, SUFFIXES, is_hidden, suffix_of
from .lists import LABEL_COLUMNS

#: The suffixes of members that may be photos.
INDEXED = (*SUFFIXES, *ARRAYS)
#: The keys of a label in ``KEY.json``, the first that is there.
_LABEL_KEYS = ('cls', *LABEL_COLUMNS)
#: The most bytes of ``KEY.cls`` and ``KEY.json`` that are read.
_MOST_LABEL, _MOST_JSON = 1000, 2**20
#: A tar is padded to its blocks behind the mark of its end; these have at most so many bytes.
_MOST_PADDING = 2**20
_BLOCK = 512
_TAR_NAME = re.compile(r'\.(tar|tgz|tbz2?|txz|tzst)\b', re.IGNORECASE)
#: Programs that undo a compression, by the first bytes of their files.
_UNPACKERS = {b'\x1f\x8b': 'gunzip', b'BZh': 'bunzip2', b'\xfd7zXZ': 'unxz', b'\x28\xb5\x2f\xfd': 'unzstd'}

#: What kinds of members that are no photos are called beside suffixes.
LINKS, AGAIN = 'links', 'members that come again under the same name'


@dataclass(frozen=True)
class TarIndex:
    """The N photos of a tar file, in its order.

    Attributes:
        names: of the members.
        offsets, sizes: (N,) int64, where the content of each begins in the file, and its number of bytes.
        labels: of each one as text, '' for none.
        others: the numbers of the members that are no photos, by suffix; those of :data:`LINKS` and :data:`AGAIN`.
        is_ended: whether the mark of an archive's end is there.
    """

    names: FileNames
    offsets: np.ndarray
    sizes: np.ndarray
    labels: FileNames
    others: dict[str, int]
    is_ended: bool = True


@dataclass
class _Members:
    """The members of a tar file that were met so far."""

    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)  # of KEY.cls, by the key
    json_labels: dict[str, str] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def key_of(name: str) -> str:
    """The key of a member's sample: its name up to the first dot of the last part."""
    folder, slash, last = name.rpartition('/')
    return f'{folder}{slash}{last.partition(".")[0]}'


def tar_index(path: Path) -> TarIndex:
    """Read the headers of a tar file, and the labels, but no photos.

    Raises:
        UserError: a file that cannot be read; is compressed, or no tar; is cut short, or damaged; holds several images
            for one sample.
    """
    members = _Members()
    try:
        with open(path, 'rb') as file, tarfile.open(fileobj=file, mode='r:') as tar:
            size, place = os.fstat(file.fileno()).st_size, -1
            while (info := tar.next()) is not None:
                if info.size < 0 or tar.offset <= place:  # older versions of Python would go round in a circle
                    raise UserError(f"{shown(path)} is damaged, in '{shown(info.name)}': copy it again")
                place = tar.offset
                if info.isfile() and info.offset_data + info.size > size:
                    raise UserError(f"{shown(path)} is cut short, in '{shown(info.name)}': copy it again")
                _add(members, info, file.fileno())
                tar.members.clear()  # type: ignore[attr-defined]  # it keeps each, which takes a kilobyte
            is_ended = _check_end(path, file.fileno(), tar.offset, size)
    except (tarfile.TarError, ValueError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        if members.images or members.others:
            raise UserError(f'{shown(path)} is cut short: copy it again') from error
        if program := _unpacker(path):
            raise UserError(f'{shown(path)} is compressed: {unpacking(path, program)}') from error
        raise UserError(f'{shown(path)} is no tar file ({error}): copy it again, or take it out') from error
    except OSError as error:
        raise UserError(f'{shown(path)} cannot be read: {error.strerror}') from error
    return _index(path, members, is_ended)


def _add(members: _Members, info: tarfile.TarInfo, descriptor: int) -> None:
    """Note a member."""
    name = info.name.removeprefix('./')
    if info.isdir() or any(map(is_hidden, name.split('/'))):
        return
    lower = name.lower()
    if not info.isfile() or info.issparse():
        members.others[LINKS if info.issym() or info.islnk() else 'no plain files'] += 1
    elif lower.endswith(INDEXED):
        members.others[AGAIN] += name in members.images
        members.images[name] = info.offset_data, info.size
    elif lower.endswith('.cls') and info.size <= _MOST_LABEL:
        content = os.pread(descriptor, info.size, info.offset_data)
        members.classes[key_of(name)] = content.decode('utf-8', 'surrogateescape').strip()
    elif lower.endswith('.json') and info.size <= _MOST_JSON:
        members.json_labels[key_of(name)] = _json_label(os.pread(descriptor, info.size, info.offset_data))
    else:
        members.others[suffix_of(name)] += 1


def _json_label(content: bytes) -> str:
    """The label in a sample's JSON: a number, text, or the value of a key for labels; '' if it has none."""
    try:
        value: Any = json.loads(content)
    except (ValueError, RecursionError):
        return ''
    if isinstance(value, dict):
        value = next((value[key] for key in _LABEL_KEYS if key in value), '')
    return str(value).strip() if isinstance(value, (int, float, str)) and not isinstance(value, bool) else ''


def _check_end(path: Path, descriptor: int, place: int, size: int) -> bool:
    """Whether the mark of the end follows the last member; raises ``UserError`` if something else does."""
    if not (block := os.pread(descriptor, _BLOCK, place)):
        return False
    if block.strip(b'\0'):
        raise UserError(f'{shown(path)} is damaged at byte {place}, where a member should begin: copy it again')
    if os.pread(descriptor, _MOST_PADDING, place).strip(b'\0'):
        raise UserError(
            f'{shown(path)} goes on for {size - place} bytes behind its end, as tars do that were joined by cat: keep '
            'them apart'
        )
    return True


def _index(path: Path, members: _Members, is_ended: bool) -> TarIndex:
    """The photos among the members: of each sample the image, not its masks or features (``KEY.seg.png``, ``.npy``)."""
    photo_of: dict[str, str] = {}  # by the key; only images whose suffix begins at the first dot
    for name in members.images:
        key = key_of(name)
        if name[len(key) :].lower() in SUFFIXES and (other := photo_of.setdefault(key, name)) != name:
            raise UserError(
                f"{shown(path)} has several images for one sample, '{shown(other)}' and '{shown(name)}': keep one, or "
                'give the others names such as KEY.mask.png'
            )
    photos = [name for name in members.images if photo_of.get(key_of(name), name) == name]
    others = members.others + Counter(suffix_of(name) for name in set(members.images) - set(photos))
    labels = [members.classes.get(key := key_of(name)) or members.json_labels.get(key, '') for name in photos]
    return TarIndex(
        FileNames(photos),
        np.array([members.images[name][0] for name in photos], np.int64),
        np.array([members.images[name][1] for name in photos], np.int64),
        FileNames(labels),
        dict(others),
        is_ended,
    )


def is_tar(path: Path) -> bool:
    """Whether a file is a tar that is not compressed, by its first bytes, or, as old ones have no mark, by its name.

    Raises:
        UserError: it cannot be read.
    """
    return _head(path)[257:262] == b'ustar' or path.name.lower().endswith('.tar') and not _unpacker(path)


def how_to_unpack(path: Path) -> str:
    """What to do with an archive that is not read as it is; raises ``UserError`` if it cannot be read."""
    return unpacking(path, _unpacker(path) if _TAR_NAME.search(path.name) else '')


def unpacking(path: Path, program: str) -> str:
    """What to do with an archive that a program makes a plain tar; '' for others."""
    plain = f', or make it a plain tar, which is read as it is, by {program} {shown(path)}' if program else ''
    return f'unpack it, and give the folder{plain}'


def _unpacker(path: Path) -> str:
    return next((program for sign, program in _UNPACKERS.items() if _head(path).startswith(sign)), '')


def _head(path: Path) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read(_BLOCK)
    except OSError as error:
        raise UserError(f'data_root {shown(path)} cannot be read: {error.strerror}') from error
