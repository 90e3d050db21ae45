"""Which tar files a ``data_root`` stands for, and which of them belong to a split."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError, shorten
from ...paths import shown
from .image_files import SHARD, ImageSearch, is_folder, is_hidden, warn_once
from .splits import NAMES, TEST_NAMES

_WORDS = re.compile(r'[^a-z]+')


def shards_below(folder: Path) -> list[str]:
    """The sorted paths, relative to a folder, of the tar files in it and in all folders below."""
    return ImageSearch(folder, (SHARD,)).below(folder)


def shards_in(folder: Path) -> list[str]:
    """The sorted names of the tar files in a folder that holds no folder."""
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as scanned:
        entries = [entry for entry in scanned if not is_hidden(entry.name)]
    if any(map(is_folder, entries)):
        return []
    return sorted(entry.name for entry in entries if entry.name.lower().endswith(SHARD))


def named_by(split: str, shards: Sequence[str]) -> list[str]:
    """The tar files whose names contain that of a split, as in ``train-000000.tar``."""
    names = NAMES.get(split, (split.lower(),))
    return [shard for shard in shards if not set(names).isdisjoint(_WORDS.split(shard.rpartition('/')[2].lower()))]


def shards_of_split(root: Path, shards: Sequence[str], split: str) -> list[str] | None:
    """The tar files of 'train' or 'val', where there are some of each, by their names; None otherwise.

    What is left out is told.

    Args:
        root: the folder of the tars, for messages.
    """
    found = {name: named_by(name, shards) for name in NAMES}
    if not all(found.values()):
        if found['train'] and (test := [shard for name in TEST_NAMES for shard in named_by(name, shards)]):
            warn_once(
                f"{shown(root)}: photos in '{shown(test[0])}' are used for training, too: keep the shards of training "
                'in a folder of their own'
            )
        return None
    if others := sorted(set(shards) - {shard for own in found.values() for shard in own}):
        warn_once(
            f'{shown(root)}: only shards that are named by train or val are read, not {len(others)} others '
            f'({shorten(map(shown, others), 3)})'
        )
    return found[split]


def refuse_both_splits(root: Path, shards: Sequence[str]) -> None:
    """Refuse to take tars of training and validation together; raises ``UserError``."""
    if named_by('train', shards) and (val := named_by('val', shards)):
        raise UserError(
            f"{shown(root)} contains shards of train and val, e.g. '{shown(val[0])}': choose one by split='train' or "
            "split='val'"
        )
