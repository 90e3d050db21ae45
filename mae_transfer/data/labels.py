"""Find the images of a labelled data set and their labels: folder trees, list files, iNaturalist's JSON, CIFAR."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

from ..errors import UserError, shorten
from ..paths import shown, user_path
from .classes import Classes, class_folders, folder_labels, given_or_own, naming_classes, resolve_classes
from .image_files import SUFFIXES, ImageSearch, identity, warn_once
from .labelled_lists import PREFIX_ADVICE, check_annotations, read_labelled_list
from .source import Source, keep_per_class
from .spellings import existing_names


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

    For the arguments and the errors see :class:`~mae_transfer.data.labelled.LabelledPhotos`; ``suffixes`` are those of
    images, in lower case.
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
    found = {folder: search.below(root / folder) for folder in folders}
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
        notes=search.notes(),
    )


def read_inaturalist(file: Path, root: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Read iNaturalist's JSON of 2017, 2018 and 2019: images, one annotation for each, and usually categories.

    A label is the position of the category's id among the sorted ids, which are 0..n-1 in the published files. Classes
    have the categories' names if these are distinct, otherwise the ids.

    Raises:
        UserError: no file, no JSON, a missing key, an image without an annotation or with two, an annotation of an
            unknown image or category; without categories, ids other than 0..n-1.
    """
    check_annotations(file)
    try:
        data = json.loads(file.read_bytes())  # in any of JSON's encodings, with or without a byte-order mark
    except (ValueError, RecursionError) as error:
        raise UserError(f'{shown(file)} is not a JSON file: {error}') from error
    try:
        images = {image['id']: os.fsdecode(os.fsencode(image['file_name'])) for image in data['images']}
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
        if classes is None and {category for _, category in pairs} != set(range(min(count, len(pairs)))):
            raise UserError(
                f'{file} has no categories, and its category_ids are not all of 0 to {count - 1}: give the number of '
                'classes by classes=...'
            )
        name_of = {category: '' for category in range(count)}
    label_of = {category: label for label, category in enumerate(sorted(name_of))}
    unknown = [category for _, category in pairs if category not in label_of]
    if unknown:
        raise UserError(f'{file}: category_id {unknown[0]} is none of the {len(name_of)} categories')
    distinct = '' not in name_of.values() and len(set(name_of.values())) == len(name_of)
    own_names = [name_of[category] if distinct else str(category) for category in label_of]
    if distinct and classes and set(own_names) <= set(classes):  # as many, in another order, or some of them
        class_names = classes
        label_of = {category: classes.index(name) for category, name in zip(label_of, own_names)}
    else:
        class_names = given_or_own(classes, own_names, file)
    labels = np.array([label_of[category] for _, category in pairs], np.int64)
    names, notes = existing_names([images[image] for image, _ in pairs], root, file, PREFIX_ADVICE)
    return Source(root, names, labels, class_names, tuple(range(len(class_names))), notes=notes)


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
        if {'train', 'val'} <= set(inside):
            raise UserError(f"{shown(root)} contains train/ and val/: choose one by split='train' or split='val'")
        return root
    if split not in inside:
        raise UserError(
            f"{shown(root)} contains no folder '{split}', but {shorten(map(shown, inside), 3)}: if these are class "
            'folders, set split=None'
        )
    return root / split


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
