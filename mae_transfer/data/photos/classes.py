"""Label spaces of classification: which classes there are, and in which order."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from timm.data import ImageNetInfo

from ...errors import UserError, shorten
from ...paths import shown, user_path
from ..files.image_files import SUFFIXES, ancestors, identity, is_archive, is_folder, is_hidden
from ..files.lists import read_text

#: How a config names the classes of a data set; see :func:`resolve_classes`.
Classes = str | int | Sequence[str] | None


_SEPARATORS = re.compile(r'(?<=\D)[\s_-]+(?=\D)|^\s+|\s+$')


def resolve_classes(classes: Classes) -> tuple[str, ...] | None:
    """The class names in label order; None, which leaves them to the data source, stays None.

    Args:
        classes: None; 'imagenet' (the 1000 WordNet ids of ImageNet-1k); a number of classes without names; a sequence
            of names; or a text file with one name per line. The names of a file may be followed by their labels, 0, 1,
            2, ... (Places365's ``categories_places365.txt``).

    Raises:
        UserError: no such file, no class, or a name given twice.
    """
    if classes is None:
        return None
    if isinstance(classes, (bool, float, dict)):
        raise UserError(f"classes is 'imagenet', a file, a list of names or a number of classes; found {classes}")
    if isinstance(classes, int):
        names = [str(label) for label in range(classes)]
    elif classes == 'imagenet':
        names = ImageNetInfo().label_names()
    elif isinstance(classes, str):
        file = user_path(classes, 'classes')
        if not os.path.isfile(file):
            raise UserError(
                f"classes='{classes}' is not a file: give a file with one name per line, 'imagenet', a list of names, "
                'or a number of classes'
            )
        lines = read_text(file, 'classes', 'give one name per line')
        names = [line.strip() for line in lines if line.strip()]
        if all(line.split()[1:] == [str(label)] for label, line in enumerate(names)):
            names = [line.split()[0] for line in names]
    else:
        names = [str(name) for name in classes]
    if not names:
        raise UserError(f'classes={classes!r} names no class')
    if len(set(names)) < len(names):
        repeated = next(name for index, name in enumerate(names) if name in names[:index])
        raise UserError(f"classes contains the name '{repeated}' twice")
    return tuple(names)


def given_or_own(classes: tuple[str, ...] | None, own: Sequence[str], source: Path) -> tuple[str, ...]:
    """The class names of a source that has its own: ``classes`` if given, otherwise ``own``.

    Raises:
        UserError: ``classes`` and ``own`` differ in length.
    """
    if classes is None:
        return tuple(own)
    if len(classes) != len(own):
        raise UserError(f'{source} has {len(own)} classes, but classes has {len(classes)}')
    return classes


def naming_classes(names: Sequence[str]) -> str:
    """Advice: the setting that numbers the classes in the same way in all data sets, also where one has no images.

    Args:
        names: of all classes.
    """
    listed = ','.join(names)
    if len(listed) <= 80 and all(name.replace('_', '').replace('-', '').isalnum() for name in names):
        return f'name all classes: --cfg-options classes={listed}'
    return 'name all classes in a file, one per line: --cfg-options classes=classes.txt'


def class_folders(root: Path) -> list[str]:
    """The sorted names of the folders in ``root``, except hidden ones (``.git``, ``.ipynb_checkpoints``).

    Links to a folder that contains ``root`` are no classes.

    Raises:
        UserError: ``root`` does not exist or contains no folder.
    """
    if not os.path.isdir(root):
        fault = 'is no folder' if os.path.exists(root) else 'does not exist'
        if os.path.isfile(root) and is_archive(root):
            fault = 'is an archive, which must be unpacked'
        raise UserError(
            f'data_root {shown(root)} {fault}: give a folder with one folder per class (--cfg-options data_root=...)'
        )
    above = ancestors(root)
    with os.scandir(root) as entries:
        visible = [entry for entry in entries if not is_hidden(entry.name)]
    folders = [entry for entry in visible if is_folder(entry)]
    names = sorted(entry.name for entry in folders if not entry.is_symlink() or identity(entry.path) not in above)
    if not names:
        images = sum(entry.name.lower().endswith(SUFFIXES) for entry in visible)
        raise UserError(
            f'{shown(root)} contains no class folder, but {images} images directly: expected '
            f'{shown(root)}/<class>/<image>'
        )
    return names


def beside_class_folders(root: Path, suffixes: tuple[str, ...]) -> tuple[str, ...]:
    """A line for the images beside the class folders, which have no class, and for links that lead nowhere."""
    with os.scandir(root) as entries:
        others = sorted(entry.name for entry in entries if not is_hidden(entry.name) and not is_folder(entry))
    images = [name for name in others if name.lower().endswith(suffixes)]
    links = [name for name in others if not os.path.exists(root / name) and name not in images]
    return tuple(
        f"{shown(root)}: {what} ({len(names)}), e.g. '{shown(names[0])}'"
        for what, names in (
            ('images beside the class folders have no class and are passed over', images),
            ('links that lead nowhere are passed over', links),
        )
        if names
    )


def alike(names: Sequence[str], source: Path) -> tuple[str, ...]:
    """A line for classes whose names differ only in capitals, spaces or signs between words."""
    first: dict[str, str] = {}
    pairs = [
        (other, name)
        for name in names
        if (other := first.setdefault(_SEPARATORS.sub('', name).casefold(), name)) != name
    ]
    if not pairs:
        return ()
    return (
        f'{shown(source)}: {len(pairs)} of {len(names)} classes have nearly the name of another, e.g. '
        f"'{shown(pairs[0][0])}' and '{shown(pairs[0][1])}': they are kept apart",
    )


def sorted_as_text(folders: Sequence[str] | dict[str, int], classes: tuple[str, ...] | None) -> tuple[str, ...]:
    """A line for folders whose names are numbers that are sorted otherwise than as numbers: '10' before '2'."""
    names = list(folders)
    if classes is not None or not all(name.isdecimal() for name in names) or names == sorted(names, key=int):
        return ()
    label = next(label for label, (one, other) in enumerate(zip(names, sorted(names, key=int))) if one != other)
    return (
        f"class folders are sorted as text, as in torchvision's ImageFolder: label {label} is '{names[label]}'; for "
        'another order name the classes, classes=...',
    )


def folder_labels(folders: list[str], classes: tuple[str, ...] | None, root: Path) -> dict[str, int]:
    """The label of each class folder, in label order.

    Without ``classes`` the sorted folders are numbered, as in torchvision's ImageFolder. Otherwise a label is the
    position of the folder's name in ``classes``; or, if all folder names are numbers and none is a class name
    (ImageNetV2), that number.

    Raises:
        UserError: a folder that is not one of ``classes``.
    """
    if classes is None:
        return {name: label for label, name in enumerate(folders)}
    label_of = {name: label for label, name in enumerate(classes)}
    if all(name.isdecimal() and name not in label_of for name in folders):
        label_of = {name: int(name) for name in folders if int(name) < len(classes)}
    labels = {name: label_of.get(name, label_of.get(shown(name))) for name in folders}
    unknown = [name for name, label in labels.items() if label is None]
    if unknown:
        raise UserError(
            f'{shown(root)}: {len(unknown)} of {len(folders)} class folders are not among the {len(classes)} classes, '
            f"e.g. '{shown(unknown[0])}'; the classes are {shorten(classes)}"
        )
    known = {name: label for name, label in labels.items() if label is not None}
    return dict(sorted(known.items(), key=lambda item: item[1]))
