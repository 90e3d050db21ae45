"""Find the images of a labelled data set and their labels: folder trees, lists, shards, iNaturalist's JSON, CIFAR."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

from ...errors import UserError, shorten
from ...paths import shown, user_path
from ..files.image_files import SUFFIXES, ImageSearch, identity, is_folder, warn_once
from ..files.splits import TEST_NAMES, find_split
from .classes import (
    Classes,
    alike,
    beside_class_folders,
    class_folders,
    folder_labels,
    given_or_own,
    naming_classes,
    resolve_classes,
    sorted_as_text,
)
from .inaturalist import read_inaturalist
from .labelled_lists import read_labelled_list
from .labelled_shards import find_shards, read_shards
from .source import Source, keep_per_class


def read_source(
    data_root: str,
    split: str | None = 'train',
    ann_file: str | None = None,
    data_prefix: str = '',
    classes: Classes = None,
    per_class: int | None = None,
    suffixes: tuple[str, ...] = SUFFIXES,
) -> Source:
    """Find the images and labels of a data set in any of the layouts.

    For the arguments and the errors see :class:`~mae_transfer.data.photos.labelled.LabelledPhotos`; ``suffixes`` are
    those of images, in lower case.
    """
    given, root = resolve_classes(classes), user_path(data_root)
    if ann_file is not None:
        file, images = root / user_path(ann_file, 'ann_file'), root / user_path(data_prefix, 'data_prefix')
        if file.suffix.lower() == '.json':
            source = read_inaturalist(file, images, given)
        else:
            source = read_labelled_list(file, images, given, suffixes)
    elif (cifar := find_cifar(root)) is not None:
        source = read_cifar(cifar, split == 'train', given)
    elif (shards := find_shards(root / user_path(data_prefix, 'data_prefix'), split)) is not None:
        source = read_shards(shards, given, suffixes)
    else:
        source = read_tree(split_folder(root / user_path(data_prefix, 'data_prefix'), split), given, suffixes)
    return source if per_class is None else keep_per_class(source, per_class)


def read_tree(root: Path, classes: tuple[str, ...] | None = None, suffixes: tuple[str, ...] = SUFFIXES) -> Source:
    """Read a tree with one folder per class, each searched for images at any depth.

    Raises:
        UserError: no folder, no class folder, a folder that is not one of ``classes``, no image; without ``classes``
            also a class folder without images (with ``classes``, that class counts as not present).
    """
    folders = folder_labels(class_folders(root), classes, root)
    search = ImageSearch(root, suffixes, closed=[identity(root / folder) for folder in folders])
    found = dict(zip(folders, search.below_each(root / folder for folder in folders)))
    empty = [folder for folder in folders if not found[folder]]
    if len(empty) == len(folders):
        for note in search.notes():
            warn_once(note)
        raise UserError(
            f'no image in the {len(folders)} class folders of {shown(root)}: looked for {", ".join(suffixes)}'
        )
    if empty and classes is None:
        raise UserError(
            f"{shown(root)}: {len(empty)} of {len(folders)} class folders contain no image, e.g. '{shown(empty[0])}': "
            f'remove them, or {naming_classes(list(folders))}'
        )
    return Source(
        root=root,
        names=[f'{folder}/{name}' for folder, names in found.items() for name in names],
        labels=np.repeat(list(folders.values()), [len(names) for names in found.values()]).astype(np.int64),
        classes=tuple(map(shown, folders)) if classes is None else classes,
        present=tuple(sorted({folders[folder] for folder in folders if found[folder]})),
        notes=(
            *beside_class_folders(root, suffixes),
            *search.notes(),
            *sorted_as_text(folders, classes),
            *alike(tuple(folders), root),
        ),
    )


def read_cifar(folder: Path, train: bool, classes: tuple[str, ...] | None = None) -> Source:
    """Read the folder ``cifar-10-batches-py`` or ``cifar-100-python``, as published.

    Raises:
        UserError: files are missing or differ from the published ones. They are pickles, which can run any code, so
            they are read only if their checksums match.
    """
    dataset_class = CIFAR10 if folder.name == CIFAR10.base_folder else CIFAR100
    try:
        data = dataset_class(str(folder.parent), train=train)
    except RuntimeError as error:
        raise UserError(
            f'{folder}: files are missing or are not the published ones: unpack {dataset_class.filename} again'
        ) from error
    names = [f'{"train" if train else "test"}/{index}' for index in range(len(data))]
    class_names = given_or_own(classes, data.classes, folder)
    labels = np.array(data.targets, np.int64)
    return Source(folder, names, labels, class_names, tuple(range(len(class_names))), images=data.data)


def split_folder(root: Path, split: str | None) -> Path:
    """The folder below ``root`` that contains the class folders of a split.

    Raises:
        UserError: ``root`` does not contain that split; no ``split`` is given, but ``root`` contains train/ and val/.
    """
    inside = class_folders(root)
    if split is None:
        if (train := find_split('train', inside)) and (val := find_split('val', inside)):
            raise UserError(
                f"{shown(root)} contains {shown(train)}/ and {shown(val)}/: choose one by split='{shown(train)}' or "
                f"split='{shown(val)}'"
            )
        return root
    folder = find_split(split, inside)
    if folder is None:
        raise UserError(f"{shown(root)} contains no folder '{split}', but {_what_instead(root, split, inside)}")
    if folder != split:
        warn_once(f"{shown(root)}: '{shown(folder)}' is read as {split}")
    return root / folder


def _what_instead(root: Path, split: str, inside: list[str]) -> str:
    """What a folder contains in place of a split's, and what to do."""
    found = shorten(map(shown, inside), 3)
    for name in inside:
        with os.scandir(root / name) as entries:
            below = [entry.name for entry in entries if is_folder(entry)]
        if find_split('train', below) and find_split('val', below):
            return f'{found}: set data_root={shown(root / name)}, which has them'
    test = next((name for name in inside if name.lower() in TEST_NAMES), None)
    if split == 'val' and test and find_split('train', inside):
        return (
            f'{found}: to evaluate on {shown(test)}, set val_dataloader.dataset.split={shown(test)} '
            f'test_dataloader.dataset.split={shown(test)}'
        )
    if split == 'train':
        return f'{found}: expected {shown(root)}/train/<class>/<image> and {shown(root)}/val/<class>/<image>'
    return f'{found}: if these are class folders, set split=None'


def find_cifar(root: Path) -> Path | None:
    """The folder of CIFAR-10 or CIFAR-100 that ``root`` is or contains; None if there is none.

    Raises:
        UserError: ``root`` contains both.
    """
    bases = (CIFAR10.base_folder, CIFAR100.base_folder)
    if root.name in bases and os.path.isdir(root):
        return root
    found = [root / base for base in bases if os.path.isdir(root / base)]
    if len(found) > 1:
        raise UserError(f'{shown(root)} contains {" and ".join(bases)}: set data_root to one of them')
    return found[0] if found else None
