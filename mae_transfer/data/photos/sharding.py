"""From a folder tree or list of photos to a folder of shards: what tools/make_shards.py does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...errors import UserError, shorten
from ...paths import shown
from ...whole_files import written_whole
from ..files.image_files import images_below, is_folder, is_hidden, warn_once
from ..files.lists import read_list
from ..files.shard_index import INDEX_FILE
from ..files.shard_sources import shards_below
from ..files.shard_writing import Reduction, Written, name_shards, remove_parts, write_shards
from ..files.splits import NAMES, find_split
from .labelled_lists import read_labelled_list
from .labelled_shards import CLASSES_FILE
from .labels import read_tree

#: The names of shards that are of no split.
PREFIX = 'photos'


@dataclass(frozen=True)
class Part:
    """Photos that become shards of one prefix.

    Attributes:
        prefix: of the names of the shards: 'train', 'val', or :data:`PREFIX`.
        root: the folder of the photos.
        names: their paths, relative to it.
        labels: of the photos, or None.
        classes: the names that labels are numbers of; () without labels.
    """

    prefix: str
    root: Path
    names: Sequence[str]
    labels: Sequence[int] | None = None
    classes: tuple[str, ...] = ()


def parts_of(source: Path, labelled: bool) -> list[Part]:
    """The photos of a folder tree, those of train/ and val/ apart, or of a list file.

    Args:
        source: the folder or file.
        labelled: whether folders are classes, or lines of the list have labels.

    Raises:
        UserError: no photos, or, if ``labelled``, no labels; train/ and val/ of different classes.
    """
    if not os.path.isdir(source):
        if not os.path.isfile(source):
            raise UserError(f'{shown(source)} does not exist: give a folder of photos, or a list file')
        return [_listed(source, labelled)]
    with os.scandir(source) as entries:
        folders = [entry.name for entry in entries if is_folder(entry) and not is_hidden(entry.name)]
    splits = {split: name for split in NAMES if (name := find_split(split, folders)) is not None}
    if len(splits) < len(NAMES):
        splits = {PREFIX: ''}
    elif others := sorted(set(folders) - set(splits.values())):
        warn_once(
            f'{shown(source)}: only {" and ".join(map(shown, splits.values()))} are written, not {len(others)} other '
            f'folders ({shorten(map(shown, others), 3)})'
        )
    parts = [_below(split, source / name if name else source, labelled) for split, name in splits.items()]
    if any(part.classes != parts[0].classes for part in parts):
        raise UserError(
            f'{shown(source)}: the classes of train ({len(parts[0].classes)}) and val ({len(parts[1].classes)}) '
            'differ, so that their labels would, too'
        )
    return parts


def _below(prefix: str, root: Path, labelled: bool) -> Part:
    if labelled:
        found = read_tree(root)
        for note in found.notes:
            warn_once(note)
        return Part(prefix, root, found.names, found.labels.tolist(), found.classes)
    if not (names := images_below(root)):
        raise UserError(f'no image in {shown(root)}, or in any folder below it')
    return Part(prefix, root, names)


def _listed(file: Path, labelled: bool) -> Part:
    if labelled:
        found = read_labelled_list(file, file.parent)
        notes, missing = found.notes, found.missing
        part = Part(PREFIX, file.parent, found.names, found.labels.tolist(), () if found.numbered else found.classes)
    else:
        listing = read_list(file, file.parent, labelled=False, advice="paths are relative to the list's folder")
        notes, missing, part = listing.notes, listing.missing, Part(PREFIX, file.parent, listing.names)
    for note in (*notes, *([missing] if missing else [])):
        warn_once(note)
    if outside := [name for name in part.names if os.path.isabs(name) or '..' in name.split('/')]:
        raise UserError(
            f"{shown(file)}: {len(outside)} of {len(part.names)} photos are not below the list's folder, e.g. "
            f"'{shown(outside[0])}': names in shards are relative to it, so move the list above them"
        )
    return part


def refuse_other_shards(out: Path, overwrite: bool) -> list[str]:
    """The shards that a folder holds already; raises ``UserError`` if there are some that may not be overwritten."""
    old = shards_below(out) if os.path.isdir(out) else []
    if old and not overwrite:
        raise UserError(
            f'{shown(out)} holds {len(old)} shards already, e.g. {shown(old[0])}, which would be one data set with the '
            'new ones: choose another folder, or --overwrite, which removes them'
        )
    return old


def write_parts(
    parts: Sequence[Part],
    out: Path,
    reduction: Reduction | None = None,
    shard_size: int = 100_000_000,
    workers: int = 0,
    overwrite: bool = False,
    report: Callable[[int, int], None] = lambda done, count: None,
) -> list[Written]:
    """Write shards, and the names of the classes; all are there in the end, or none.

    Args:
        parts: from :func:`parts_of`.
        overwrite: whether shards that the folder holds are removed, when the new ones are complete.
        out, reduction, shard_size, workers: see :func:`~mae_transfer.data.files.shard_writing.write_shards`.
        report: is called after each photo with the number of photos that are done and the number of all.

    Raises:
        UserError: the folder holds other shards; as ``write_shards``.
    """
    old, count = refuse_other_shards(out, overwrite), sum(len(part.names) for part in parts)
    written, before = list[Written](), 0
    try:
        for part in parts:
            settings = (part.root, part.names, out, part.prefix, part.labels, reduction, shard_size, workers)
            written.append(write_shards(*settings, partial(_report, report, before, count)))
            before += len(part.names)
    except BaseException:
        for one in written:
            remove_parts(out, one)
        raise
    for name in (*old, INDEX_FILE, CLASSES_FILE):
        (out / name).unlink(missing_ok=True)
    if parts[0].classes:
        with written_whole(out / CLASSES_FILE) as file:
            file.write(''.join(f'{name}\n' for name in parts[0].classes).encode())
    name_shards(out, [name for one in written for name in one.shards])
    return written


def _report(report: Callable[[int, int], None], before: int, count: int, done: int, _: int) -> None:
    """Report what is done of all parts."""
    report(before + done, count)


def told_of(written: Sequence[Written], out: Path) -> Iterator[str]:
    """The lines that tell of new shards; the last one says how many there are, and how they are used."""
    for what, names in (
        ('cannot be read and are left out', [name for one in written for name in one.unreadable]),
        (
            'have other names in the shards, because a key ends at the first dot and stands for one photo',
            [name for one in written for name in one.renamed],
        ),
    ):
        if names:
            yield f'{len(names)} photos {what}: {shorten(map(shown, names), 3)}'
    photos, shards = (sum(counts) for counts in zip(*((one.photos, len(one.shards)) for one in written)))
    size = sum(one.size for one in written)
    yield f'{photos} photos in {shards} shards, {size:,} bytes: data_root={shown(out)}'
