"""Where the images of a labelled data set are, and their labels: folder trees, list files, iNaturalist's JSON,
CIFAR."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO
from zlib import crc32

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

from ..errors import UserError
from .classes import Classes, class_folders, folder_labels, renamed, resolve_classes
from .photos import SUFFIXES, images_below

_NUMBER = re.compile(r'[+-]?\d{1,18}')  # what fits into int64


@dataclass(frozen=True)
class Source:
    """N labelled images.

    Attributes:
        root: the folder that ``names`` are relative to.
        names: the images' paths; for CIFAR, which keeps its images in a few files, 'train/0', 'train/1', ...
        labels: (N,) int64.
        classes: the names of the label space, in label order.
        present: the labels that a folder tree of a part of ``classes`` holds, sorted; else all of them.
        numbered: the labels are bare numbers of a list file, which need not show the last of the classes.
        images: (N, 32, 32, 3) uint8 for CIFAR, else None.
    """

    root: Path
    names: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    present: tuple[int, ...]
    numbered: bool = False
    images: np.ndarray | None = None


def read_source(
    data_root: str,
    split: str | None = 'train',
    ann_file: str | None = None,
    data_prefix: str = '',
    classes: Classes = None,
    per_class: int | None = None,
) -> Source:
    """Find the images and labels; see :class:`~mae_transfer.data.labelled.LabelledPhotos` for the arguments and
    errors."""
    names, root = resolve_classes(classes), Path(data_root)
    if ann_file is not None:
        read = read_inaturalist if str(ann_file).endswith('.json') else read_list
        source = read(root / ann_file, root / data_prefix, names)
        if not any((source.root / name).exists() for name in source.names[:20]):
            raise UserError(
                f'{source.root / source.names[0]} does not exist, nor do the next images of {root / ann_file}: name '
                'the folder '
                'below data_root in which its paths begin by data_prefix'
            )
    elif (cifar := find_cifar(root)) is not None:
        source = read_cifar(cifar, split == 'train', names)
    else:
        source = read_tree(split_folder(root / data_prefix, split), names)
    return source if per_class is None else keep_per_class(source, per_class)


def read_tree(root: Path, classes: tuple[str, ...] | None = None) -> Source:
    """A folder for each class, searched through for images.

    Raises:
        UserError: no folder, no class folder, a folder that is no class, no image; without ``classes`` also a class
            folder without images (with it, that class is not present).
    """
    folders = folder_labels(class_folders(root), classes, root)
    found = {folder: images_below(root / folder) for folder in folders}
    empty = [folder for folder in folders if not found[folder]]
    if len(empty) == len(folders):
        raise UserError(f'no image in the {len(folders)} class folders of {root}: looked for {", ".join(SUFFIXES)}')
    if empty and classes is None:
        raise UserError(
            f"{root}: {len(empty)} of {len(folders)} class folders hold no image, the first is '{empty[0]}': remove "
            'them, or '
            'give the names of all classes by classes=...'
        )
    return Source(
        root=root,
        names=[f'{folder}/{name}' for folder, names in found.items() for name in names],
        labels=np.repeat(list(folders.values()), [len(names) for names in found.values()]).astype(np.int64),
        classes=tuple(folders) if classes is None else classes,
        present=tuple(sorted({folders[folder] for folder in folders if found[folder]})),
    )


def read_list(file: Path, root: Path, classes: tuple[str, ...] | None = None) -> Source:
    """A text file with a path and a label a line: numbers on all lines, or names on all.

    Paths are relative to ``root``, also those that begin with a slash (Places365), and may hold spaces.

    Raises:
        UserError: no file, no line in it, a line without label, a label that is out of range or no class.
    """
    names, words, lines = [], [], []
    with _opened(file) as text:
        for number, line in enumerate(text, 1):
            if not (line := line.strip()):
                continue
            name, *word = line.rsplit(None, 1)
            if not word or word[0].lower().endswith(SUFFIXES):
                raise UserError(
                    f"{file}, line {number}: no label in '{line}': expected a path and a label, e.g. cats/a.jpg 3"
                )
            names.append(name.lstrip('/'))
            words += word
            lines.append(number)
    if not names:
        raise UserError(f'list file {file} names no image: a path and a label a line, e.g. cats/a.jpg 3')
    numbered = _NUMBER.fullmatch(words[0]) is not None
    if numbered:
        labels = _numbers(file, words, lines, classes)
        spaces = classes or tuple(str(label) for label in range(labels.max() + 1))
    else:
        spaces = classes or tuple(sorted(set(words)))
        place = {name: label for label, name in enumerate(spaces)}
        for word, number in zip(words, lines):
            if word not in place:
                raise UserError(f"{file}, line {number}: '{word}' is none of the {len(spaces)} classes")
        labels = np.array([place[word] for word in words], np.int64)
    return Source(root, names, labels, spaces, tuple(range(len(spaces))), numbered=numbered and classes is None)


def read_inaturalist(file: Path, root: Path, classes: tuple[str, ...] | None = None) -> Source:
    """iNaturalist's JSON of 2017, 2018 and 2019: images, one annotation for each, and most often the categories.

    A label is the place of the category's id among the sorted ids, which are 0..n-1 there. Classes have the categories'
    names where each has its own, else the ids.

    Raises:
        UserError: no file, no JSON, a missing key, an image without annotation or with two, an annotation of no image
            or category; ids other than 0..n-1 without categories.
    """
    with _opened(file) as text:
        try:
            data = json.load(text)
        except ValueError as error:
            raise UserError(f'{file} is no JSON: {error}') from error
    try:
        images = {image['id']: image['file_name'] for image in data['images']}
        pairs = [(entry['image_id'], int(entry['category_id'])) for entry in data['annotations']]
        ids = {int(category['id']): str(category.get('name', '')) for category in data.get('categories', ())}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f'{file} is not in the layout of iNaturalist 2017 to 2019 (images: id, file_name; annotations: image_id, '
            f'category_id; categories: id, name): {error!r}'
        ) from error
    if not pairs or len(pairs) != len(images) or {image for image, _ in pairs} != set(images):
        raise UserError(f'{file}: {len(pairs)} annotations for {len(images)} images; expected one for each image')
    if not ids:
        count = len(classes) if classes else max(category for _, category in pairs) + 1
        ids = {category: '' for category in range(count)}
        if classes is None and len({category for _, category in pairs}) != count:
            raise UserError(
                f'{file} has no categories, and its category_ids are not all of 0 to {count - 1}: give the number of '
                'classes by classes=...'
            )
    place = {category: label for label, category in enumerate(sorted(ids))}
    strange = [category for _, category in pairs if category not in place]
    if strange:
        raise UserError(f'{file}: category_id {strange[0]} is none of the {len(ids)} categories')
    named = '' not in ids.values() and len(set(ids.values())) == len(ids)
    spaces = renamed([ids[category] if named else str(category) for category in place], classes, file)
    labels = np.array([place[category] for _, category in pairs], np.int64)
    return Source(root, [images[image] for image, _ in pairs], labels, spaces, tuple(range(len(spaces))))


def read_cifar(folder: Path, train: bool, classes: tuple[str, ...] | None = None) -> Source:
    """The folder ``cifar-10-batches-py`` or ``cifar-100-python``, as published.

    Raises:
        UserError: files missing or not the published ones: they are pickles, read only where their checksums are right.
    """
    kind = CIFAR10 if folder.name == CIFAR10.base_folder else CIFAR100
    try:
        data = kind(str(folder.parent), train=train)
    except RuntimeError as error:
        raise UserError(
            f'{folder}: files are missing or are not the published ones: unpack {kind.filename} again'
        ) from error
    names = [f'{"train" if train else "test"}/{number}' for number in range(len(data))]
    spaces = renamed(data.classes, classes, folder)
    return Source(folder, names, np.array(data.targets, np.int64), spaces, tuple(range(len(spaces))), images=data.data)


def _opened(file: Path) -> TextIO:
    if not file.is_file():
        raise UserError(f'ann_file {file} does not exist: its path is relative to data_root')
    return open(file, encoding='utf-8', errors='surrogateescape')


def _numbers(file: Path, words: list[str], lines: list[int], classes: tuple[str, ...] | None) -> np.ndarray:
    """The labels of a list whose first one is a number."""
    labels = np.empty(len(words), np.int64)
    for index, (word, line) in enumerate(zip(words, lines)):
        if not _NUMBER.fullmatch(word):
            raise UserError(f"{file}, line {line}: label '{word}' is no number, as the first one is")
        labels[index] = label = int(word)
        if label < 0 or classes and label >= len(classes):
            raise UserError(
                f'{file}, line {line}: label {label} is out of range: '
                + (
                    f'{len(classes)} classes have the labels 0 to {len(classes) - 1}'
                    if classes
                    else 'labels begin at 0'
                )
            )
    return labels


def split_folder(root: Path, split: str | None) -> Path:
    """The folder that holds the class folders of a split."""
    inside = class_folders(root)
    if split is None:
        if {'train', 'val'} <= set(inside):
            raise UserError(f"{root} holds train/ and val/: name one by split='train' or split='val'")
        return root
    if split not in inside:
        raise UserError(
            f"{root} has no folder '{split}', but {', '.join(inside[:3])}{', ...' if len(inside) > 3 else ''}: for "
            'class '
            'folders directly in data_root set split=None'
        )
    return root / split


def find_cifar(root: Path) -> Path | None:
    """The folder of CIFAR-10 or CIFAR-100 that ``root`` is or holds."""
    bases = (CIFAR10.base_folder, CIFAR100.base_folder)
    if root.name in bases and root.is_dir():
        return root
    found = [root / base for base in bases if (root / base).is_dir()]
    if len(found) > 1:
        raise UserError(f'{root} holds {" and ".join(bases)}: give one of them as data_root')
    return found[0] if found else None


def keep_per_class(source: Source, count: int) -> Source:
    """Only ``count`` images of each class (all, where it has fewer), chosen by their paths: the same in every run."""
    if count < 1:
        raise UserError(f'per_class is a number of images, 1 or more; found {count}')
    order = sorted(
        range(len(source.names)), key=lambda i: (source.labels[i], crc32(os.fsencode(source.names[i])), source.names[i])
    )
    labels = source.labels[order]
    # The rank of an image within its class: its place in the order, less the place where its class begins.
    rank = np.arange(len(order)) - np.searchsorted(labels, labels)
    kept = np.sort(np.array(order)[rank < count])
    return replace(
        source,
        names=[source.names[i] for i in kept],
        labels=source.labels[kept],
        images=None if source.images is None else source.images[kept],
    )
