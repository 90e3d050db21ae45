"""Labelled images that were found: their paths, labels and classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from ...errors import UserError, is_whole
from ...paths import shown
from ..files.image_files import is_folder, is_hidden
from ..files.photo_files import ShardPhotos


@dataclass(frozen=True)
class Source:
    """N labelled images.

    Attributes:
        root: the folder that ``names`` are relative to.
        names: the paths of the images; for CIFAR, which keeps its images in a few files, 'train/0', 'train/1', ...
        labels: (N,) int64.
        classes: the class names in label order.
        present: the labels that occur in a folder tree, sorted; for the other layouts all labels.
        numbered: whether the labels are the bare numbers of a list file, in which the last classes may be missing.
        images: (N, 32, 32, 3) uint8 for CIFAR, else None.
        notes: a sentence for each thing that was not obvious, for the log.
        missing: how many of the listed images that were looked for do not exist; '' for none.
        shards: the images, where they are in tar files; else None.
    """

    root: Path
    names: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    present: tuple[int, ...]
    numbered: bool = False
    images: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    missing: str = ''
    shards: ShardPhotos | None = None

    @property
    def own_names(self) -> list[bytes]:
        """The names by whose hashes images are chosen."""
        return list(map(os.fsencode, self.names)) if self.shards is None else self.shards.own_names()


def check_several_classes(root: Path, used: Sequence[str]) -> None:
    """Refuse images of one class, for which every prediction is right.

    Args:
        root: the folder of the images.
        used: the classes, or class folders, that images have.

    Raises:
        UserError: there is but one.
    """
    if len(used) > 1:
        return
    inside: list[str] = []
    if os.path.isdir(root / used[0]):
        with os.scandir(root / used[0]) as entries:
            inside = [entry.name for entry in entries if is_folder(entry) and not is_hidden(entry.name)]
    hint = f"; if its {len(inside)} folders are the classes, move them up, next to '{shown(used[0])}'" if inside else ''
    raise UserError(
        f"{shown(root)}: all images are of one class, '{shown(used[0])}', so that every prediction is right and "
        f'nothing is learnt: give images of another class, too{hint}'
    )


def check_present(present: Sequence[int], classes: Sequence[str]) -> None:
    """Refuse an accuracy over images of which all have the one class that may be predicted; raises ``UserError``."""
    if len(present) == 1:
        raise UserError(
            f"accuracy means nothing: '{classes[present[0]]}' is the only class of the evaluated images, so that every "
            'prediction is right: add images of another class'
        )


def keep_per_class(source: Source, count: int) -> Source:
    """Keep ``count`` images of each class (all if it has fewer), the same in every run: chosen by a hash of the path.

    Raises:
        UserError: ``count`` is no whole number, 1 or more.
    """
    if not is_whole(count, 1):
        raise UserError(f'per_class is a number of images, 1 or more; found {count}')
    names = source.own_names
    order = sorted(range(len(names)), key=lambda i: (source.labels[i], crc32(names[i]), os.fsdecode(names[i])))
    labels = source.labels[order]
    # The rank of an image within its class: its position in the order, minus the position where its class begins.
    rank = np.arange(len(order)) - np.searchsorted(labels, labels)
    kept = np.sort(np.array(order)[rank < count])
    return replace(
        source,
        names=[source.names[i] for i in kept],
        labels=source.labels[kept],
        images=None if source.images is None else source.images[kept],
        shards=None if source.shards is None else source.shards.select(kept.tolist()),
    )
