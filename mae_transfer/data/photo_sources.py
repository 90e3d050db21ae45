"""Which photos a ``data_root`` stands for, and which of them are held out for validation."""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

from ..errors import UserError
from ..paths import shown, user_path
from .image_files import SUFFIXES, images_below, is_archive, warn_once
from .list_files import read_list


def find_photos(
    data_root: str, split: str, hold_out: float, suffixes: tuple[str, ...] = SUFFIXES
) -> tuple[Path, list[str]]:
    """The folder of the photos of a split, and their paths relative to it, sorted or in the order of the list file.

    Args:
        data_root, split, hold_out: see :class:`~mae_transfer.data.photos.Photos`, which has the errors, too.
        suffixes: of photos, in lower case.
    """
    root = user_path(data_root)
    if os.path.isdir(root):
        has_splits = os.path.isdir(root / 'train') and os.path.isdir(root / 'val')
        if has_splits:
            root = root / split
        names = images_below(root, suffixes)
        if not names:
            raise UserError(f'no image in {shown(root)}: looked for {", ".join(suffixes)} in all folders below it')
        return root, names if has_splits else _choose(names, split, hold_out)
    refuse_other_files(root, 'a folder of images, a list file or an image')
    if root.name.lower().endswith(suffixes):
        return root.parent, _choose([root.name], split, hold_out)
    advice = f"paths are relative to the list's folder, {shown(root.parent)}, and come first in their line"
    listing = read_list(root, root.parent, labelled=False, suffixes=suffixes, advice=advice)
    for note in listing.notes:
        warn_once(note)
    return root.parent, _choose(listing.names, split, hold_out)


def refuse_other_files(root: Path, expected: str) -> None:
    """Refuse what is no folder, no image and no list file.

    Args:
        expected: what ``data_root`` may be.

    Raises:
        UserError: nothing there, a pipe or device, an archive, JSON.
    """
    name = shown(root)
    if not os.path.isfile(root):
        fault = 'is neither a folder nor a file' if os.path.exists(root) else 'does not exist'
        raise UserError(f'data_root {name} {fault}: give {expected} (--cfg-options data_root=...)')
    if is_archive(root):
        raise UserError(f'data_root {name} is an archive: unpack it, and give the folder')
    if root.suffix.lower() == '.json':
        raise UserError(f'data_root {name} is a JSON file: give {expected}, e.g. the folder of the images it names')


def _choose(names: list[str], split: str, hold_out: float) -> list[str]:
    """For 'val' the photos whose paths have the lowest hashes, at least one; for 'train' the others."""
    if hold_out == 1 and split == 'val':
        return names
    if hold_out == 0:
        if split == 'val':
            raise UserError(
                'hold_out=0 leaves no photo for validation: give a share, e.g. .02, or a data_root with train/ and val/'
            )
        return names
    if len(names) < 2:
        warn_once(f"'{shown(names[0])}' is the only photo: it is used for training and for validation")
        return names
    count = min(max(1, round(len(names) * hold_out)), len(names) - 1)
    held_out = set(sorted(names, key=lambda name: (crc32(os.fsencode(name)), name))[:count])
    return [name for name in names if (name in held_out) == (split == 'val')]
