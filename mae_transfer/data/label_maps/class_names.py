"""The user's own classes for detection and segmentation: the setting ``classes`` of a config."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from ...paths import with_home
from ..files.lists import read_text

#: Files that hold more than names.
_NO_LISTS = ('.csv', '.tsv', '.json', '.yaml', '.yml', '.xml', '.pbtxt', '.py')


def class_names(classes: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Parse the setting ``classes`` into names; None, which stands for the data set's own classes, stays None.

    Args:
        classes: the names in label order; or a string: the path of a text file with one name per line, one name, or
            several names separated by commas.

    Raises:
        UserError: no name, an empty name, a name given twice, or a file that does not exist or is not a text file.
    """
    if classes is None:
        return None
    source = 'classes'
    if isinstance(classes, str) and os.path.isfile(file := with_home(classes)):
        source = classes
        if file.lower().endswith(_NO_LISTS):
            raise UserError(f'{classes} is no list of names: give a text file with one name per line and nothing else')
        lines = read_text(Path(file), 'classes', 'give one name per line')
        classes = '\n'.join(lines).rstrip().split('\n')
    elif isinstance(classes, str):
        if classes.endswith('.txt') or '/' in classes:
            raise UserError(
                f'classes: the file {classes} does not exist; give a file with one name per line, or the names, '
                f'classes=cat,dog; a single name that looks like a file has a comma after it: classes="{classes},"'
            )
        classes = classes.strip('()[]').removesuffix(',').split(',')
    if not isinstance(classes, Sequence):
        raise UserError(
            f'classes must be names, e.g. classes=cat,dog, or a file with one name per line; found {classes!r}'
        )
    names = [_unquoted(plain_name(str(name))) for name in classes]
    if not any(names):
        raise UserError(f'{source}: no class is named; give e.g. classes=cat,dog, or a file with one name per line')
    if '' in names:
        raise UserError(f'{source}: name {names.index("") + 1} of {len(names)} is empty: name it, or remove it')
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise UserError(f"{source}: '{name}' is given {count} times; each class needs its own name")
    return tuple(names)


def plain_name(name: str) -> str:
    """A name without spaces around it or two in a row, with composed accents: as names of classes are compared."""
    return ' '.join(unicodedata.normalize('NFC', name).split())


def _unquoted(name: str) -> str:
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in '\'"' else name


def class_count(classes: str | Sequence[str] | None, default: int) -> int:
    """The number of names in the setting ``classes``; ``default`` if it is None."""
    names = class_names(classes)
    return default if names is None else len(names)
