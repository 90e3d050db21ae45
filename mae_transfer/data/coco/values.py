"""Values of a file in COCO's format as what they mean, and the lines about them."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

from mmengine.logging import print_log

from ...errors import UserError

#: Added to the name of a key ('id', 'image_id', ...): where an entry keeps the id that it has in the file, if it was
#: changed on loading.
IN_FILE = '_in_file'


def as_number(value: object) -> int | float | None:
    """``value`` as a finite number; None if it is none. Numbers as text are taken, booleans are not."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
        value = int(value) if value.is_integer() else value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond any float
        return None


def as_whole(value: object) -> int | None:
    """``value`` as a whole number; None if it is none. '12', '12.0' and 12.0 are 12."""
    if isinstance(value, str):
        try:
            return int(value)  # exact, however long
        except ValueError:
            pass
    number = as_number(value)
    return int(number) if number is not None and number == int(number) else None


def types_of(values: Any) -> set[type]:
    """The types that occur: how a million values are tested at once."""
    return set(map(type, values))


def refuse(
    path: str,
    wrong: Sequence[dict],
    total: int,
    fault: str,
    advice: str,
    shown: Sequence[str] = ('id', 'image_id', 'file_name'),
    detail: str = '',
) -> None:
    """Raise the error about the entries that are wrong, if there are any.

    Args:
        total: number of entries, the wrong ones included.
        shown: keys by which the first wrong entry is described; ids as they are in the file.
        detail: more about the first wrong entry.

    Raises:
        UserError: there is a wrong entry.
    """
    if not wrong:
        return
    raise UserError(f'{path}: {len(wrong)} of {total} {fault}, e.g. {describe(wrong[0], shown)}{detail}: {advice}')


def describe(entry: dict, shown: Sequence[str]) -> str:
    """The values of some keys of an entry, each cut to a readable length; ids as they are in the file."""
    found = [f'{key} {brief(entry.get(key + IN_FILE, entry[key]))}' for key in shown if key in entry]
    return ', '.join(found) or brief(entry)


def brief(value: object, most: int = 60) -> str:
    """``repr`` of a value on one line of at most ``most`` characters."""
    text = repr(value)
    return text if len(text) <= most else f'{text[: most - 4]} ...'


class Tally:
    """Counts odd entries of one kind, and keeps the first as the example."""

    def __init__(self) -> None:
        self.count, self.example = 0, ''

    def add(self, entry: dict | str, shown: Sequence[str] = ()) -> None:
        """Count an entry as it is in the file: call this before it is changed."""
        if not self.count:
            self.example = entry if isinstance(entry, str) else describe(entry, shown)
        self.count += 1


def note(path: str, odd: Tally, total: int, what: str, taken: str) -> None:
    """Log the line about a kind of odd entries, if there are any: how many, an example, how they are taken."""
    if odd.count:
        text = f'{path}: {odd.count:,} of {total:,} {what}, e.g. {odd.example}: {taken}'
        print_log(text, logger='current', level=logging.WARNING)


def check_unique(path: str, part: str, key: str, values: Sequence[Hashable]) -> None:
    """Check that no value occurs twice.

    Raises:
        UserError: one does.
    """
    repetitions = len(values) - len(set(values))
    if repetitions:
        value, count = Counter(values).most_common(1)[0]
        raise UserError(
            f"{path}: {repetitions} of {len(values)} {part} have the '{key}' of another, "
            f'e.g. {brief(value)} occurs {count} times: each needs its own'
        )
