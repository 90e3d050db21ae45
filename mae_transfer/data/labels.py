"""Find the images of a labelled data set and their labels: folder trees, list files, iNaturalist's JSON, CIFAR."""

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

from ..errors import UserError, shorten
from .classes import Classes, class_folders, folder_labels, given_or_own, resolve_classes
from .photos import SUFFIXES, images_below

_INTEGER = re.compile(r'[+-]?\d{1,18}')  # 18 digits fit into int64


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
    """Find the images and labels of a data set in any of the layouts.

    For the arguments and the errors see :class:`~mae_transfer.data.labelled.LabelledPhotos`.
    """
    given, root = resolve_classes(classes), Path(data_root)
    if ann_file is not None:
        read = read_inaturalist if str(ann_file).endswith('.json') else read_list
        source = read(root / ann_file, root / data_prefix, given)
        if not any((source.root / name).exists() for name in source.names[:20]):
            raise UserError(
                f'{source.root / source.names[0]} does not exist, nor do the next images of {root / ann_file}: set '
                'data_prefix to the folder below data_root that the paths are relative to'
            )
    elif (cifar := find_cifar(root)) is not None:
        source = read_cifar(cifar, split == 'train', given)
    else:
        source = read_tree(split_folder(root / data_prefix, split), given)
    return source if per_class is None else keep_per_class(source, per_class)


def read_tree(root: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Read a tree with one folder per class, each searched for images at any depth.

    Raises:
        UserError: no folder, no class folder, a folder that is not one of ``classes``, no image; without ``classes``
            also a class folder without images (with ``classes``, that class counts as not present).
    """
    folders = folder_labels(class_folders(root), classes, root)
    found = {folder: images_below(root / folder) for folder in folders}
    empty = [folder for folder in folders if not found[folder]]
    if len(empty) == len(folders):
        raise UserError(f'no image in the {len(folders)} class folders of {root}: looked for {", ".join(SUFFIXES)}')
    if empty and classes is None:
        raise UserError(
            f"{root}: {len(empty)} of {len(folders)} class folders contain no image, e.g. '{empty[0]}': remove them, "
            'or name all classes by classes=...'
        )
    return Source(
        root=root,
        names=[f'{folder}/{name}' for folder, names in found.items() for name in names],
        labels=np.repeat(list(folders.values()), [len(names) for names in found.values()]).astype(np.int64),
        classes=tuple(folders) if classes is None else classes,
        present=tuple(sorted({folders[folder] for folder in folders if found[folder]})),
    )


def read_list(file: Path, root: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Read a text file with a path and a label per line; the labels are either all numbers or all class names.

    Paths are relative to ``root``, even if they begin with a slash (Places365), and may contain spaces.

    Raises:
        UserError: no file, an empty file, a line without a label, a label that is out of range or not a class.
    """
    names: list[str] = []
    words: list[str] = []  # the labels as written
    lines: list[int] = []  # the line number of each
    with _open_annotations(file) as text:
        for line_number, line in enumerate(text, 1):
            if not (line := line.strip()):
                continue
            parts = line.rsplit(None, 1)
            if len(parts) < 2 or parts[1].lower().endswith(SUFFIXES):
                raise UserError(
                    f"{file}, line {line_number}: no label in '{line}': expected a path and a label, e.g. cats/a.jpg 3"
                )
            names.append(parts[0].lstrip('/'))
            words.append(parts[1])
            lines.append(line_number)
    if not names:
        raise UserError(f'list file {file} names no image: give a path and a label per line, e.g. cats/a.jpg 3')
    numbered = _INTEGER.fullmatch(words[0]) is not None
    if numbered:
        labels = _parse_numbers(file, words, lines, classes)
        class_names = classes or tuple(str(label) for label in range(labels.max() + 1))
    else:
        class_names = classes or tuple(sorted(set(words)))
        label_of = {name: label for label, name in enumerate(class_names)}
        for word, line_number in zip(words, lines):
            if word not in label_of:
                raise UserError(f"{file}, line {line_number}: '{word}' is none of the {len(class_names)} classes")
        labels = np.array([label_of[word] for word in words], np.int64)
    present = tuple(range(len(class_names)))
    return Source(root, names, labels, class_names, present, numbered=numbered and classes is None)


def read_inaturalist(file: Path, root: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Read iNaturalist's JSON of 2017, 2018 and 2019: images, one annotation for each, and usually categories.

    A label is the position of the category's id among the sorted ids, which are 0..n-1 in the published files. Classes
    have the categories' names if these are distinct, otherwise the ids.

    Raises:
        UserError: no file, no JSON, a missing key, an image without an annotation or with two, an annotation of an
            unknown image or category; without categories, ids other than 0..n-1.
    """
    with _open_annotations(file) as text:
        try:
            data = json.load(text)
        except ValueError as error:
            raise UserError(f'{file} is not a JSON file: {error}') from error
    try:
        images = {image['id']: image['file_name'] for image in data['images']}
        pairs = [(entry['image_id'], int(entry['category_id'])) for entry in data['annotations']]
        name_of = {int(category['id']): str(category.get('name', '')) for category in data.get('categories', ())}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f'{file} is not in the layout of iNaturalist 2017 to 2019 (images: id, file_name; annotations: image_id, '
            f'category_id; categories: id, name): {error!r}'
        ) from error
    if not pairs or len(pairs) != len(images) or {image for image, _ in pairs} != set(images):
        raise UserError(f'{file}: {len(pairs)} annotations for {len(images)} images; expected one for each image')
    if not name_of:
        count = len(classes) if classes else max(category for _, category in pairs) + 1
        name_of = {category: '' for category in range(count)}
        if classes is None and len({category for _, category in pairs}) != count:
            raise UserError(
                f'{file} has no categories, and its category_ids are not all of 0 to {count - 1}: give the number of '
                'classes by classes=...'
            )
    label_of = {category: label for label, category in enumerate(sorted(name_of))}
    unknown = [category for _, category in pairs if category not in label_of]
    if unknown:
        raise UserError(f'{file}: category_id {unknown[0]} is none of the {len(name_of)} categories')
    distinct = '' not in name_of.values() and len(set(name_of.values())) == len(name_of)
    own_names = [name_of[category] if distinct else str(category) for category in label_of]
    class_names = given_or_own(classes, own_names, file)
    labels = np.array([label_of[category] for _, category in pairs], np.int64)
    return Source(root, [images[image] for image, _ in pairs], labels, class_names, tuple(range(len(class_names))))


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


def _open_annotations(file: Path) -> TextIO:
    if not file.is_file():
        raise UserError(f'ann_file {file} does not exist: its path is relative to data_root')
    return open(file, encoding='utf-8', errors='surrogateescape')


def _parse_numbers(file: Path, words: list[str], lines: list[int], classes: tuple[str, ...] | None) -> np.ndarray:
    """The labels of a list file whose first label is a number."""
    labels = np.empty(len(words), np.int64)
    for index, (word, line) in enumerate(zip(words, lines)):
        if not _INTEGER.fullmatch(word):
            raise UserError(f"{file}, line {line}: label '{word}' is not a number, although the first label is one")
        labels[index] = label = int(word)
        if label < 0 or classes and label >= len(classes):
            expected = 'labels begin at 0'
            if classes:
                expected = f'{len(classes)} classes have the labels 0 to {len(classes) - 1}'
            raise UserError(f'{file}, line {line}: label {label} is out of range: {expected}')
    return labels


def split_folder(root: Path, split: str | None) -> Path:
    """The folder below ``root`` that contains the class folders of a split.

    Raises:
        UserError: ``root`` does not contain that split; no ``split`` is given, but ``root`` contains train/ and val/.
    """
    inside = class_folders(root)
    if split is None:
        if {'train', 'val'} <= set(inside):
            raise UserError(f"{root} contains train/ and val/: choose one by split='train' or split='val'")
        return root
    if split not in inside:
        raise UserError(
            f"{root} contains no folder '{split}', but {shorten(inside, 3)}: if these are class folders, set split=None"
        )
    return root / split


def find_cifar(root: Path) -> Path | None:
    """The folder of CIFAR-10 or CIFAR-100 that ``root`` is or contains; None if there is none.

    Raises:
        UserError: ``root`` contains both.
    """
    bases = (CIFAR10.base_folder, CIFAR100.base_folder)
    if root.name in bases and root.is_dir():
        return root
    found = [root / base for base in bases if (root / base).is_dir()]
    if len(found) > 1:
        raise UserError(f'{root} contains {" and ".join(bases)}: set data_root to one of them')
    return found[0] if found else None


def keep_per_class(source: Source, count: int) -> Source:
    """Keep ``count`` images of each class (all if it has fewer), the same in every run: chosen by a hash of the path.

    Raises:
        UserError: ``count`` is below 1.
    """
    if count < 1:
        raise UserError(f'per_class is a number of images, 1 or more; found {count}')
    order = sorted(
        range(len(source.names)), key=lambda i: (source.labels[i], crc32(os.fsencode(source.names[i])), source.names[i])
    )
    labels = source.labels[order]
    # The rank of an image within its class: its position in the order, minus the position where its class begins.
    rank = np.arange(len(order)) - np.searchsorted(labels, labels)
    kept = np.sort(np.array(order)[rank < count])
    return replace(
        source,
        names=[source.names[i] for i in kept],
        labels=source.labels[kept],
        images=None if source.images is None else source.images[kept],
    )
