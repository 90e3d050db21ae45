"""The errors that a user can act on, and how their messages list names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


class UserError(ValueError):
    """One line: what is wrong, what was found, what would be right.

    The tools print it without a traceback and end with exit code 2; every other exception is a bug of ours and keeps
    its traceback.
    """


class CheckpointError(UserError, RuntimeError):
    """A checkpoint that cannot be read, or that does not fit the model."""


def own_line(error: UserError) -> str:
    """The line of an error; one from a data loader's worker arrives with a traceback before it."""
    return re.sub(r'^[\w.]+Error: ', '', str(error).strip().splitlines()[-1])


def in_python(line: str) -> str:
    """The line of an error as a call in Python tells it: settings and places without the options of the tools."""
    return line.replace('--cfg-options ', '').replace('--work-dir', 'out').replace('--resume', 'resume=True')


def is_whole(number: Any, least: int) -> bool:
    """Whether a setting is a whole number, ``least`` or more; ``True`` and ``2.0`` are none."""
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def is_number(value: Any) -> bool:
    """Whether a setting is a number; ``True`` and NaN are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def shorten(names: Iterable[str], most: int = 6) -> str:
    """Join names for a message: 'a, b, c', or 'a, b and 7 more' where there are more than ``most``."""
    names = list(names)
    listed = ', '.join(names[:most])
    return f'{listed} and {len(names) - most} more' if len(names) > most else listed
