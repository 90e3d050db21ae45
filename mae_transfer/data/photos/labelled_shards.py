"""Labelled images in shards: tar files with ``KEY.jpg`` and ``KEY.cls``, as the webdataset library writes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import UserError
from ...paths import shown
from ..files.image_files import SUFFIXES, is_folder, is_hidden, warn_once
from ..files.photo_files import ShardPhotos
from ..files.shard_sources import named_by, refuse_both_splits, shards_in
from ..files.splits import find_split
from ..files.tar_index import is_tar
from .classes import resolve_classes
from .labelled_lists import MOST_CLASSES, whole_number
from .source import Source

#: The file with the names of the classes that labels are numbers of, beside shards or above their folder.
CLASSES_FILE = 'classes.txt'


class LabelledShards(NamedTuple):
    """The shards of a split.

    Attributes:
        folder: that they are in.
        shards: their names.
        classes_file: with the names of the classes; None if there is none.
    """

    folder: Path
    shards: list[str]
    classes_file: Path | None


def find_shards(root: Path, split: str | None) -> LabelledShards | None:
    """The shards that a ``data_root`` stands for; None if it is of another layout.

    A split has a folder of its own, or shards of its own, named like ``train-000000.tar``.

    Raises:
        UserError: there are shards, but not of this split; they are of several splits, and none is chosen.
    """
    if os.path.isfile(root):
        if not is_tar(root):
            return None
        folder, shards = root.parent, [root.name]
    else:
        folder, shards = root, shards_in(root)
        if not shards and split is not None and os.path.isdir(root):
            with os.scandir(root) as entries:
                inside = [entry.name for entry in entries if is_folder(entry) and not is_hidden(entry.name)]
            if (found := find_split(split, inside)) is None or not (shards := shards_in(root / found)):
                return None
            return LabelledShards(root / found, shards, _classes_file(root / found, root))
    if not shards:
        return None
    if split is None:
        refuse_both_splits(folder, shards)
        return LabelledShards(folder, shards, _classes_file(folder))
    if not (chosen := named_by(split, shards)):
        raise UserError(
            f"{shown(root)} contains shards, but none of '{split}', by their names: name them like {split}-000000.tar, "
            f'or keep them in a folder {split}/; split=None takes all of them for an evaluation'
        )
    return LabelledShards(folder, chosen, _classes_file(folder))


def _classes_file(*folders: Path) -> Path | None:
    return next((folder / CLASSES_FILE for folder in folders if os.path.isfile(folder / CLASSES_FILE)), None)


def read_shards(
    found: LabelledShards, classes: tuple[str, ...] | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> Source:
    """Read the labels of images in shards: of ``KEY.cls``, or of a key of ``KEY.json`` such as 'label' or 'cls'.

    They are numbers of classes, whose names are ``classes`` or those of a file ``classes.txt`` beside the shards; or
    all are names of classes.

    Raises:
        UserError: as :class:`~mae_transfer.data.files.photo_files.ShardPhotos`; an image without a label, a label that
            is out of range or not a class.
    """
    photos = ShardPhotos.of_shards(found.folder, found.shards, suffixes)
    words, place = list(photos.labels), shown(found.folder)
    if missing := [index for index, word in enumerate(words) if not word]:
        raise UserError(
            f'{place}: {len(missing)} of {len(words)} images in shards have no label, e.g. '
            f"'{shown(photos.names[missing[0]])}': expected KEY.cls, or 'label' or 'cls' in KEY.json, beside KEY.jpg"
        )
    numbers = [whole_number(word) for word in words]
    own = classes
    if classes is None and found.classes_file is not None:
        own = resolve_classes(str(found.classes_file))
        warn_once(f'the names of the {len(own or ())} classes are those of {shown(found.classes_file)}')
    is_named = own is not None and set(map(shown, words)) <= set(own)
    if is_named or None in numbers:
        own = own or tuple(sorted(set(map(shown, words))))
        label_of = {name: label for label, name in enumerate(own)}
        numbers = [label_of.get(shown(word)) for word in words]
        expected = f'it is none of the {len(own)} classes'
    else:
        count = MOST_CLASSES if own is None else len(own)
        numbers = [number if number is not None and 0 <= number < count else None for number in numbers]
        expected = f'{"labels" if own is None else f"{count} classes have labels"} from 0 to {count - 1}'
    if None in numbers:
        index = numbers.index(None)
        raise UserError(f"{place}: '{shown(photos.names[index])}' has the label '{shown(words[index])}': {expected}")
    labels = np.array(numbers, np.int64)
    return Source(
        root=found.folder,
        names=list(photos.names),
        labels=labels,
        classes=own or tuple(str(label) for label in range(labels.max() + 1)),
        present=tuple(np.unique(labels).tolist()),
        numbered=own is None,
        shards=photos,
    )
