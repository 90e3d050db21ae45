"""Which number in a label map means which class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...errors import UserError, shorten

IGNORED = 255  #: the label of pixels that no loss and no metric counts


class Numbering(NamedTuple):
    """The numbers of the classes.

    Without ``values`` the N classes are 1..N with ``reduce_zero_label``, where 0 means no class, and 0..N-1 without it;
    255 is ignored, and any other number is a mistake. With ``values`` class i is ``values[i]``, and every other number
    is ignored.
    """

    classes: tuple[str, ...]
    reduce_zero_label: bool = True
    values: tuple[int, ...] | None = None

    @property
    def numbers(self) -> np.ndarray:
        """(N,) int64: the number of each class."""
        first = int(self.reduce_zero_label)
        values = range(first, first + len(self.classes)) if self.values is None else self.values
        return np.array(values, np.int64)

    def labels(self, numbers: np.ndarray) -> np.ndarray:
        """The labels 0..N-1 of numbers, in the same shape, uint8; 255 for ignored ones."""
        own = self.numbers
        if numbers.dtype == np.uint8:
            table = np.full(256, IGNORED, np.uint8)
            fits = (own >= 0) & (own < 256)
            table[own[fits]] = np.flatnonzero(fits)
            return table[numbers]
        order = own.argsort()
        place = np.searchsorted(own[order], numbers).clip(max=len(own) - 1)
        return np.where(own[order][place] == numbers, order[place], IGNORED).astype(np.uint8)

    def foreign(self, found: np.ndarray) -> np.ndarray:
        """Those of some numbers that are a mistake: neither of a class nor ignored."""
        if self.values is not None:
            return found[:0]
        is_known = np.isin(found, self.numbers) | (found == IGNORED) | (found == 0) & self.reduce_zero_label
        return found[~is_known]

    def check(self, path: str, found: np.ndarray, everywhere: np.ndarray | None = None) -> None:
        """Refuse a label map with a number that is a mistake.

        Args:
            path: of the label map.
            found: the numbers in it.
            everywhere: the numbers in all label maps that were examined with it, from which the advice follows.

        Raises:
            UserError: as said.
        """
        foreign = self.foreign(found)
        if not len(foreign):
            return
        own = self.numbers
        ignored = f'{0} or {IGNORED}' if self.reduce_zero_label else IGNORED
        raise UserError(
            f'label map {path} contains the value {foreign.max()}; expected {own[0]}..{own[-1]} for the classes and '
            f'{ignored} for ignored pixels (reduce_zero_label={self.reduce_zero_label}): correct it, set '
            f'classes=... to all classes, or give the value of each class, label_values='
            f'{self._values_for(everywhere)} (all others are then ignored)'
        )

    def _values_for(self, everywhere: np.ndarray | None) -> str:
        """The values that the classes seem to have; '...' where it cannot be told."""
        if everywhere is None:
            return '...'
        values = everywhere[(everywhere >= 0) & (everywhere < 2**16)]
        # 65535 hardly is a class; 255 is none where the numbers begin at 0 by the setting.
        usual = values[~np.isin(values, [2**16 - 1] if self.reduce_zero_label else [IGNORED, 2**16 - 1])]
        candidates = [values, usual]
        if self.reduce_zero_label:
            candidates += [values[values != 0], usual[usual != 0]]
        for candidate in candidates:
            if len(candidate) == len(self.classes):
                return ','.join(map(str, candidate))
        return '...'


def parse_values(values: Sequence[int] | None, classes: Sequence[str]) -> tuple[int, ...] | None:
    """The setting ``label_values``: the number of each class, in the order of the classes.

    Raises:
        UserError: not as many different numbers from 0 to 65535 as there are classes.
    """
    if values is None:
        return None
    given: list = list(values) if isinstance(values, (list, tuple)) else [values]
    if not all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**16 for value in given):
        raise UserError(
            f'label_values are whole numbers from 0 to 65535, one for each class, e.g. label_values=0,255; '
            f'found {values!r}'
        )
    if len(given) != len(classes) or len(set(given)) != len(given):
        raise UserError(
            f'label_values has {len(set(given))} different numbers ({shorten(map(str, given))}), but there are '
            f'{len(classes)} classes ({shorten(classes)}): give one number for each class, in their order'
        )
    return tuple(given)


def one_class_line(name: str) -> str:
    """The error of a segmentor with a single class."""
    return (
        f"'{name}' is the only class, so that every prediction is right and nothing is learnt: name the background, "
        f'too, classes=background,{name}, with reduce_zero_label=False if it is 0 and the class 1, or '
        'label_values=0,255 if the class is 255'
    )
