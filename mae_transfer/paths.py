"""Paths as the user gives them, and as messages show them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import UserError

#: Signs that would break a line or cannot be seen, and the halves of a pair that stand for bytes that are not UTF-8.
_UNSHOWN = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]')
_URL = re.compile(r'[A-Za-z][A-Za-z0-9+.-]+://')
_HOME = re.compile(r'~[^/\s]*(/|$)')


def user_path(path: str | os.PathLike, setting: str = 'data_root') -> Path:
    """The path that a user means: ``~`` and ``~name`` at its beginning are home folders.

    Args:
        setting: what gives the path, for the error message.

    Raises:
        UserError: something other than a path, e.g. None or a URL.
    """
    if not isinstance(path, (str, os.PathLike)) or '\0' in str(path):
        raise UserError(f'{setting} is a path, e.g. {setting}=path/to/data; found {path!r}')
    if _URL.match(os.fspath(path)):
        raise UserError(
            f"{setting} is a path on this machine, but '{shown(path)}' is a URL: download it, and give the folder, "
            "without 'file://'"
        )
    return Path(with_home(os.fspath(path)))


def with_home(value: str) -> str:
    """Text with the home folder in place of a ``~`` or ``~name`` at its beginning; other text stays as it is."""
    return os.path.expanduser(value) if _HOME.match(value) else value


def why_missing(path: Path) -> str:
    """What may be wrong with a path that does not exist, as the end of a message; '' where nothing shows it."""
    name = os.fspath(path)
    if '$' in name:
        return '; variables such as $HOME are expanded by the shell alone'
    if re.search(r'[*?\[]', name):
        return '; patterns are not expanded: give the folder'
    if ',' in name and all(os.path.exists(part) for part in name.split(',')):
        return f'; several are given as a list: data_root=[{name}]'
    return ''


def shown(path: str | os.PathLike) -> str:
    """A path or name as one line of text that can be printed, drawn and written as UTF-8.

    A file name is any bytes. Python keeps those that are not UTF-8 as lone surrogates, which no file and no terminal
    takes; here they are written as escapes, as line breaks are: ``caf\\xe9.jpg``.
    """
    return _UNSHOWN.sub(_escape, os.fspath(path))


def _escape(found: re.Match) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f'\\x{code - 0xDC00:02x}'
    return found[0].encode('unicode_escape').decode()
