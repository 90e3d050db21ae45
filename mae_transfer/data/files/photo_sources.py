"""Which photos a ``data_root`` stands for, and which of them are held out for validation."""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

import numpy as np

from ...errors import UserError, shorten
from ...paths import shown, user_path, why_missing
from .image_files import SUFFIXES, images_below, is_archive, is_folder, is_hidden, warn_once
from .lists import read_list
from .photo_files import PhotoFiles, ShardPhotos
from .shard_sources import shards_below, shards_of_split
from .splits import TEST_NAMES, find_split
from .tar_index import how_to_unpack, is_tar


def find_photos(data_root: str, split: str, hold_out: float, suffixes: tuple[str, ...] = SUFFIXES) -> PhotoFiles:
    """The photos of a split, sorted by their paths, or in the order of the list file or of the shards.

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
        photos, has_splits = _below(folder or root, split, suffixes)
        return photos if folder or has_splits else _choose(photos, split, hold_out)
    if os.path.isfile(root) and is_tar(root):
        return _choose(ShardPhotos.of_shards(root.parent, [root.name], suffixes), split, hold_out)
    refuse_other_files(root, 'a folder of images, a list file or an image')
    if root.name.lower().endswith(suffixes):
        return _choose(PhotoFiles(root.parent, [root.name]), split, hold_out)
    return _choose(_listed(root, suffixes), split, hold_out)


def every_photo(source: str | os.PathLike, suffixes: tuple[str, ...] = SUFFIXES, setting: str = 'images') -> PhotoFiles:
    """All photos of a folder, at any depth, a list file or a tar file, or one image: nothing is held out.

    Args:
        suffixes: of photos, in lower case.
        setting: what gives the source, for messages.

    Raises:
        UserError: nothing there, no image in it, another file.
    """
    if not os.fspath(source):
        raise UserError(f'{setting} is empty: give a folder of images, a list file or an image')
    root = user_path(source, setting)
    if os.path.isdir(root):
        return _below(root, 'val', suffixes, every=True)[0]
    if os.path.isfile(root) and is_tar(root):
        return ShardPhotos.of_shards(root.parent, [root.name], suffixes)
    refuse_other_files(root, 'a folder of images, a list file or an image', setting)
    if root.name.lower().endswith(suffixes):
        return PhotoFiles(root.parent, [root.name])
    return _listed(root, suffixes)


def _listed(file: Path, suffixes: tuple[str, ...]) -> PhotoFiles:
    """The photos of a list file; tells what was not obvious."""
    advice = f"paths are relative to the list's folder, {shown(file.parent)}, and come first in their line"
    listing = read_list(file, file.parent, labelled=False, suffixes=suffixes, advice=advice)
    for note in (*listing.notes, *([listing.missing] if listing.missing else [])):
        warn_once(note)
    return PhotoFiles(file.parent, listing.names)


def _below(folder: Path, split: str, suffixes: tuple[str, ...], every: bool = False) -> tuple[PhotoFiles, bool]:
    """The photos below a folder; if there are none, those in the tar files there, and whether the tars have splits.

    Args:
        every: whether all tars count, whatever their split.
    """
    if names := images_below(folder, suffixes):
        return PhotoFiles(folder, names), False
    if not (shards := shards_below(folder)):
        raise UserError(f'no image in {shown(folder)}: looked for {", ".join(suffixes)} in all folders below it')
    of_split = None if every else shards_of_split(folder, shards, split)
    return ShardPhotos.of_shards(folder, of_split or shards, suffixes), of_split is not None


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


def refuse_other_files(root: Path, expected: str, setting: str = 'data_root') -> None:
    """Refuse what is no folder, no image and no list file.

    Args:
        expected: what ``data_root`` may be.
        setting: what gives it, for the message: of a config, or of a call.

    Raises:
        UserError: nothing there, a pipe or device, an archive, JSON.
    """
    name = shown(root)
    if not os.path.isfile(root):
        fault = 'is neither a folder nor a file' if os.path.exists(root) else 'does not exist'
        option = f' (--cfg-options {setting}=...)' if setting == 'data_root' else ''
        raise UserError(f'{setting} {name} {fault}: give {expected}{option}{why_missing(root)}')
    if is_archive(root):
        raise UserError(f'{setting} {name} is an archive: {how_to_unpack(root)}')
    if root.suffix.lower() == '.json':
        raise UserError(f'{setting} {name} is a JSON file: give {expected}, e.g. the folder of the images it names')


def _choose(photos: PhotoFiles, split: str, hold_out: float) -> PhotoFiles:
    """For 'val' the photos whose own names have the lowest hashes, at least one; for 'train' the others."""
    if hold_out == 1 and split == 'val':
        return photos
    if hold_out == 1:
        raise UserError('hold_out=1 leaves no photo for training: give a share, e.g. .02')
    if hold_out == 0:
        if split == 'val':
            raise UserError(
                'hold_out=0 leaves no photo for validation: give a share, e.g. .02, or a data_root with train/ and val/'
            )
        return photos
    if len(photos) < 2:
        warn_once(f"'{shown(photos.names[0])}' is the only photo: it is used for training and for validation")
        return photos
    count = min(max(1, round(len(photos) * hold_out)), len(photos) - 1)
    own_names = photos.own_names()
    hashes = np.array([crc32(name) for name in own_names], np.uint32)
    last = np.partition(hashes, count - 1)[count - 1]
    held_out = hashes < last
    keys = [(os.fsdecode(own_names[place]), photos.names[place], place) for place in np.flatnonzero(hashes == last)]
    # A photo that a list names twice is on one side.
    chosen = {name for _, name, _ in sorted(keys)[: count - held_out.sum()]}
    held_out[[place for _, name, place in keys if name in chosen]] = True
    return photos.select(np.flatnonzero(held_out == (split == 'val')))
