"""The folders of training and validation images, under the names that people and programs give them."""

from __future__ import annotations

from collections.abc import Collection

#: Names, in lower case, of the folder of a split.
NAMES = dict(train=('train', 'training'), val=('val', 'valid', 'validation'))
TEST_NAMES = ('test', 'testing')


def find_split(split: str, folders: Collection[str]) -> str | None:
    """The folder of a split: the one of its name; otherwise the only one of another usual name, in any case.

    Args:
        split: 'train', 'val', or the name of a folder.
        folders: names of the folders to choose from.
    """
    if split in folders:
        return split
    found = [name for name in folders if name.lower() in NAMES.get(split, ())]
    return found[0] if len(found) == 1 else None
