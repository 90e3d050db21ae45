"""Names of files as another system spelled them: those that exist are found, and none that exists is an error."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

from ..errors import UserError
from ..paths import shown
from .image_files import evenly

#: Changes of a name, one after the other: what the change is, the change.
_Spelling = tuple[tuple[str, Callable[[str], str]], ...]


def _western(name: str) -> str:
    """A name of bytes that are not UTF-8, read in the Western code page."""
    return name if name.isascii() else name.encode('utf-8', 'surrogateescape').decode('cp1252', 'replace')


#: How names are read that another system wrote.
_CHANGES: _Spelling = (
    ('backslashes are read as slashes', lambda name: name.replace('\\', '/')),
    ('paths that begin with a slash are read as relative', lambda name: name.lstrip('/')),
    ('it is read as Windows-1252', lambda name: _western(name) if re.search('[\udc80-\udcff]', name) else name),
    ('accents are read as part of their letters (Unicode NFC)', lambda name: unicodedata.normalize('NFC', name)),
    ('accents are read as signs of their own (Unicode NFD)', lambda name: unicodedata.normalize('NFD', name)),
)


def existing_names(
    names: list[str], root: Path, file: Path, advice: str, lines: Sequence[int] = (), most: int = 64
) -> tuple[list[str], tuple[str, ...]]:
    """The names of image files that a file lists, in the spelling in which they exist.

    That is found on a sample, so that a network disk is not asked for every file of a large data set.

    Args:
        names: paths relative to ``root``, or absolute.
        file: where they are listed, for messages.
        advice: what to do if none exists.
        lines: the number of each one's line.
        most: the greatest number of files to look for.

    Returns:
        The names; a note if they are spelled differently there.

    Raises:
        UserError: none of the files exists.
    """
    spelling = _spelling(names, root)
    notes: tuple[str, ...] = ()
    if spelling:
        names = [_spell(name, spelling) for name in names]
        notes = (f'{shown(file)}: {", and ".join(what for what, _ in spelling)}',)
    chosen = evenly(len(names), most)
    if any(os.path.exists(root / names[i]) for i in chosen):
        return names, notes
    where = f' in line {lines[0]}' if lines else ''
    raise UserError(
        f'none of the images that {shown(file)} names exists ({len(chosen)} of {len(names)} looked for): '
        f"'{shown(names[0])}'{where} stands for {shown(root / names[0])}: {advice}"
    )


def _spelling(names: list[str], root: Path, most: int = 20) -> _Spelling:
    """The changes by which the most names of a sample exist; of names that a change could concern."""
    concerned = [name for name in names if '\\' in name or name.startswith('/') or not name.isascii()]
    sample = [concerned[i] for i in evenly(len(concerned), most)]

    def count(spelling: _Spelling) -> int:
        return sum(os.path.exists(root / _spell(name, spelling)) for name in sample)

    chosen: _Spelling = ()
    best = count(chosen)
    for size in (1, 2, 3):
        for spelling in combinations(_CHANGES, size):
            if best < len(sample) and (found := count(spelling)) > best:
                best, chosen = found, spelling
    return chosen


def _spell(name: str, spelling: _Spelling) -> str:
    for _, change in spelling:
        name = change(name)
    return name
