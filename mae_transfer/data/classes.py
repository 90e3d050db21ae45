"""Label spaces of classification: which classes there are, and in which order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from timm.data import ImageNetInfo

from ..errors import UserError
from .photos import SUFFIXES

#: How a config names the classes of a data set; see :func:`resolve_classes`.
Classes = str | int | Sequence[str] | None


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
    if isinstance(classes, int):
        names = [str(label) for label in range(classes)]
    elif classes == 'imagenet':
        names = ImageNetInfo().label_names()
    elif isinstance(classes, str):
        if not Path(classes).is_file():
            raise UserError(
                f"classes='{classes}' is not a file: give a file with one name per line, 'imagenet', a list of names, "
                'or a number of classes'
            )
        names = [line.strip() for line in Path(classes).read_text(encoding='utf-8').splitlines() if line.strip()]
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


def class_folders(root: Path) -> list[str]:
    """The sorted names of the folders in ``root``, except hidden ones (``.git``, ``.ipynb_checkpoints``).

    Raises:
        UserError: ``root`` does not exist or contains no folder.
    """
    if not root.is_dir():
        raise UserError(
            f'data_root {root} does not exist: give a folder with one folder per class (--cfg-options data_root=...)'
        )
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))
    if not names:
        images = sum(name.lower().endswith(SUFFIXES) for name in os.listdir(root))
        raise UserError(
            f'{root} contains no class folder, but {images} images directly: expected {root}/<class>/<image>'
        )
    return names


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
    unknown = [name for name in folders if name not in label_of]
    if unknown:
        raise UserError(
            f'{root}: {len(unknown)} of {len(folders)} class folders are not among the {len(classes)} classes, '
            f"e.g. '{unknown[0]}'"
        )
    return {name: label_of[name] for name in sorted(folders, key=label_of.__getitem__)}
