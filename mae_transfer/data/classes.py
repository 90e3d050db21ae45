"""Label spaces: which classes there are, and in which order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from timm.data import ImageNetInfo

from ..errors import UserError
from .photos import SUFFIXES

#: How a config names the classes of a data set; see :func:`resolve_classes`.
Classes = None | str | int | Sequence[str]


def resolve_classes(classes: Classes) -> tuple[str, ...] | None:
    """The names of a label space in label order; None where the source shall say.

    Args:
        classes: None; 'imagenet' (the 1000 WordNet ids of ImageNet-1k); a number of classes without names; a sequence
            of names; or a text file with one name a line, where a number that counts the lines may follow it
            (Places365's ``categories_places365.txt``).

    Raises:
        UserError: no such file, no class, or a name twice.
    """
    if classes is None:
        return None
    if isinstance(classes, int):
        names = [str(label) for label in range(classes)]
    elif classes == 'imagenet':
        names = ImageNetInfo().label_names()
    elif isinstance(classes, str):
        if not Path(classes).is_file():
            raise UserError(
                f"classes='{classes}' is no file: give one with a name a line, 'imagenet', a list of names or a number"
            )
        names = [line.strip() for line in Path(classes).read_text(encoding='utf-8').splitlines() if line.strip()]
        if all(line.split()[1:] == [str(label)] for label, line in enumerate(names)):
            names = [line.split()[0] for line in names]
    else:
        names = [str(name) for name in classes]
    if not names:
        raise UserError(f'classes={classes!r} names no class')
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise UserError(f"classes name '{twice}' twice")
    return tuple(names)


def renamed(own: Sequence[str], classes: tuple[str, ...] | None, source: Path) -> tuple[str, ...]:
    """The classes of a source that knows their number: its own names, or others of the same number."""
    if classes is None:
        return tuple(own)
    if len(classes) != len(own):
        raise UserError(f'{source} has {len(own)} classes, but classes has {len(classes)}')
    return classes


def class_folders(root: Path) -> list[str]:
    """The sorted names of the folders in ``root``; hidden ones (``.git``, ``.ipynb_checkpoints``) are no classes.

    Raises:
        UserError: no such folder, no folder in it.
    """
    if not root.is_dir():
        raise UserError(
            f'data_root {root} does not exist: give a folder with a folder for each class (--cfg-options data_root=...)'
        )
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))
    if not names:
        images = sum(name.lower().endswith(SUFFIXES) for name in os.listdir(root))
        raise UserError(
            f'no class folder in {root}, and {images} images directly in it: expected {root}/<class>/<image>'
        )
    return names


def folder_labels(folders: list[str], classes: tuple[str, ...] | None, root: Path) -> dict[str, int]:
    """Folder name to label, in label order.

    Without ``classes``, by the sorted names, as torchvision's ImageFolder. With it, by the place of the name in
    ``classes``; or, where every folder's name is a number and none a class (ImageNetV2), by that number.

    Raises:
        UserError: a folder that is no class.
    """
    if classes is None:
        return {name: label for label, name in enumerate(folders)}
    place = {name: label for label, name in enumerate(classes)}
    if all(name.isdecimal() and name not in place for name in folders):
        place = {name: int(name) for name in folders if int(name) < len(classes)}
    strange = [name for name in folders if name not in place]
    if strange:
        raise UserError(
            f'{root}: {len(strange)} of {len(folders)} class folders are not among the {len(classes)} classes, '
            f"the first is '{strange[0]}'"
        )
    return {name: place[name] for name in sorted(folders, key=place.__getitem__)}
