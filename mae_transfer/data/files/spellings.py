"""Names of files as another system spelled them: those that exist are found, and none that exists is an error."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from ...errors import UserError
from ...paths import shown
from .image_files import SUFFIXES, evenly

_FILE_URL = re.compile(r'file://(localhost)?(?=/)')

#: Changes of a name, one after the other: what the change is, the change.
_Spelling = tuple[tuple[str, Callable[[str], str]], ...]


def _western(name: str) -> str:
    """A name of bytes that are not UTF-8, read in the Western code page."""
    return name if name.isascii() else name.encode('utf-8', 'surrogateescape').decode('cp1252', 'replace')


#: What names have that another system may have spelled in another way.
_FOREIGN = re.compile(r'[^\x00-\x7f]|\\|^/|^file:')
#: How names are read that another system wrote.
_CHANGES: _Spelling = (
    ('backslashes are read as slashes', lambda name: name.replace('\\', '/')),
    ('paths that begin with a slash are read as relative', lambda name: name.lstrip('/')),
    ('it is read as Windows-1252', lambda name: _western(name) if re.search('[\udc80-\udcff]', name) else name),
    ('file:// is left out', lambda name: unquote(_FILE_URL.sub('', name)) if _FILE_URL.match(name) else name),
    ('accents are read as part of their letters (Unicode NFC)', lambda name: unicodedata.normalize('NFC', name)),
    ('accents are read as signs of their own (Unicode NFD)', lambda name: unicodedata.normalize('NFD', name)),
)


class Existing(NamedTuple):
    """The names of image files that a file lists, in the spelling in which they exist.

    Attributes:
        names: the paths.
        notes: a note if they are spelled differently in the list.
        missing: how many of those looked for do not exist, with an example; '' for none.
    """

    names: list[str]
    notes: tuple[str, ...] = ()
    missing: str = ''


def existing_names(
    names: list[str],
    root: Path,
    file: Path,
    advice: str,
    lines: Sequence[int] = (),
    most: int = 64,
    suffixes: tuple[str, ...] = SUFFIXES,
) -> Existing:
    """The names of image files that a file lists, in the spelling in which they exist.

    That is found on a sample, so that a network disk is not asked for every file of a large data set.

    Args:
        names: paths relative to ``root``, or absolute.
        file: where they are listed, for messages.
        advice: what to do if none exists.
        lines: the number of each one's line.
        most: the greatest number of files to look for.
        suffixes: of images, in lower case; one of them is added to names that have none.

    Raises:
        UserError: none of the files exists.
    """
    spelling = _spelling(names, root, suffixes)
    notes: tuple[str, ...] = ()
    if spelling:
        names = [_spell(name, spelling) for name in names]
        notes = (f'{shown(file)}: {", and ".join(what for what, _ in spelling)}',)
    chosen = evenly(len(names), most)
    absent = [i for i in chosen if not os.path.exists(root / names[i])]
    if len(absent) < len(chosen):
        missing = ''
        if absent:
            missing = (
                f'{shown(file)}: {len(absent)} of {len(chosen)} images that were looked for do not exist, e.g. '
                f"'{shown(names[absent[0]])}'{_line(lines, absent[0])}"
            )
        return Existing(names, notes, missing)
    raise UserError(
        f'none of the images that {shown(file)} names exists ({len(chosen)} of {len(names)} looked for): '
        f"'{shown(names[0])}'{_line(lines, 0)} stands for {shown(root / names[0])}: {_advice(names[0], root, advice)}"
    )


def _line(lines: Sequence[int], index: int) -> str:
    return f' in line {lines[index]}' if lines else ''


def _advice(name: str, root: Path, advice: str) -> str:
    """What to do if no file exists; by the first name."""
    if '://' in name:
        return 'it is a URL: download the images, and list their paths'
    if name[:1] in '{[':
        return 'it looks like JSON: write a path on each line'
    parts = re.split(r'[/\\]', name)
    for begin in range(1, len(parts)):
        if os.path.isfile(root / '/'.join(parts[begin:])):
            prefix = name[: len(name) - len('/'.join(parts[begin:]))]
            return f"it exists without '{shown(prefix)}': take that out of the paths"
    return advice


def _spelling(names: list[str], root: Path, suffixes: tuple[str, ...], most: int = 20) -> _Spelling:
    """The changes by which the most names of a sample exist; of names that a change could concern."""
    concerned = [name for name in names if _FOREIGN.search(name)]
    if not concerned and not any(os.path.exists(root / names[i]) for i in evenly(len(names), most)):
        concerned = names
    sample = [concerned[i] for i in evenly(len(concerned), most)]
    changes = (*_CHANGES, *(_suffix_changes(sample[0], suffixes) if sample else ()))

    def count(spelling: _Spelling) -> int:
        return sum(os.path.exists(root / _spell(name, spelling)) for name in sample)

    chosen: _Spelling = ()
    best = count(chosen)
    for size in (1, 2, 3):
        for spelling in combinations(changes, size):
            if best < len(sample) and (found := count(spelling)) > best:
                best, chosen = found, spelling
    return chosen


def _suffix_changes(name: str, suffixes: tuple[str, ...]) -> _Spelling:
    """Suffixes in the other case, or, if a name has none, each that an image can have."""
    if name.lower().endswith(suffixes):
        return (
            ('suffixes are read in lower case', lambda name: os.path.splitext(name)[0] + _suffix(name).lower()),
            ('suffixes are read in capitals', lambda name: os.path.splitext(name)[0] + _suffix(name).upper()),
        )
    return tuple((f'{suffix} is added to the paths', partial(_add, suffix)) for suffix in suffixes)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1]


def _add(suffix: str, name: str) -> str:
    return name + suffix


def _spell(name: str, spelling: _Spelling) -> str:
    for _, change in spelling:
        name = change(name)
    return name
