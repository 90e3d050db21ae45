"""Which photos a ``data_root`` stands for, and which of them are held out for validation."""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

from ...errors import UserError, shorten
from ...paths import shown, user_path, why_missing
from .image_files import SUFFIXES, images_below, is_archive, is_folder, is_hidden, warn_once
from .lists import read_list
from .splits import TEST_NAMES, find_split


def find_photos(
    data_root: str, split: str, hold_out: float, suffixes: tuple[str, ...] = SUFFIXES
) -> tuple[Path, list[str]]:
    """The folder of the photos of a split, and their paths relative to it, sorted or in the order of the list file.

    Args:
        data_root, split, hold_out: see :class:`~mae_transfer.data.photos.unlabelled.Photos`, which has the errors, too.
        suffixes: of photos, in lower case.
    """
    if not isinstance(hold_out, (int, float)) or isinstance(hold_out, bool) or not 0 <= hold_out <= 1:
        raise UserError(f'hold_out is a share of the photos, from 0 to 1; found {hold_out}')
    if not os.fspath(data_root):
        raise UserError('data_root is empty: give a folder of images, a list file or an image')
    root = user_path(data_root)
    if os.path.isdir(root):
        folder = _split_folder(root, split, suffixes)
        has_splits = folder is not None
        if folder is not None:
            root = folder
        names = images_below(root, suffixes)
        if not names:
            raise UserError(f'no image in {shown(root)}: looked for {", ".join(suffixes)} in all folders below it')
        return root, names if has_splits else _choose(names, split, hold_out)
    refuse_other_files(root, 'a folder of images, a list file or an image')
    if root.name.lower().endswith(suffixes):
        return root.parent, _choose([root.name], split, hold_out)
    advice = f"paths are relative to the list's folder, {shown(root.parent)}, and come first in their line"
    listing = read_list(root, root.parent, labelled=False, suffixes=suffixes, advice=advice)
    for note in (*listing.notes, *([listing.missing] if listing.missing else [])):
        warn_once(note)
    return root.parent, _choose(listing.names, split, hold_out)


def _split_folder(root: Path, split: str, suffixes: tuple[str, ...]) -> Path | None:
    """The folder of a split in ImageNet's layout; None for a folder of photos in any other. Tells what is left out."""
    with os.scandir(root) as entries:
        visible = [entry for entry in entries if not is_hidden(entry.name)]
    folders = sorted(entry.name for entry in visible if is_folder(entry))
    found = {name: find_split(name, folders) for name in ('train', 'val')}
    chosen = found[split]
    if None in found.values():
        if found['train'] and (test := [name for name in folders if name.lower() in TEST_NAMES]):
            warn_once(
                f"{shown(root)}: photos in '{test[0]}' are used for training, too: data_root="
                f'{shown(root / found["train"])} leaves them out'
            )
        return None
    if list(found) != list(found.values()):
        warn_once(f"{shown(root)}: '{found['train']}' and '{found['val']}' are read as train and val")
    others = [name for name in folders if name not in found.values()]
    images = sum(entry.name.lower().endswith(suffixes) and not is_folder(entry) for entry in visible)
    if others or images:
        warn_once(
            f'{shown(root)}: only {found["train"]} and {found["val"]} are searched, not {len(others)} other folders '
            f'({shorten(map(shown, others), 3) or "none"}) and {images} images beside them'
        )
    return root / str(chosen)


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
        raise UserError(f'data_root {name} {fault}: give {expected} (--cfg-options data_root=...){why_missing(root)}')
    if is_archive(root):
        raise UserError(f'data_root {name} is an archive: unpack it, and give the folder')
    if root.suffix.lower() == '.json':
        raise UserError(f'data_root {name} is a JSON file: give {expected}, e.g. the folder of the images it names')


def _choose(names: list[str], split: str, hold_out: float) -> list[str]:
    """For 'val' the photos whose paths have the lowest hashes, at least one; for 'train' the others."""
    if hold_out == 1 and split == 'val':
        return names
    if hold_out == 1:
        raise UserError('hold_out=1 leaves no photo for training: give a share, e.g. .02')
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
