"""The confusion matrix in a report: a picture where it can be read, and the largest confusions as a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..visualization.confusion import MOST_NAMES, confusion_picture
from .sections import Picture, Table

#: Classes from which on confusions are listed, too: in a picture of more, single cells are hard to find.
_MANY = 30
#: How many are listed.
_LISTED = 20


def confusion_parts(confusion: np.ndarray, classes: Sequence[str], what: str) -> tuple[Picture | Table, ...]:
    """A confusion matrix as parts of a section.

    Args:
        confusion: (C, C) int64, numbers by true (row) and predicted class (column).
        classes: C names; those that neither occur nor are predicted are left out.
        what: is counted: 'images'.
    """
    occurs = np.flatnonzero(confusion.sum(0) + confusion.sum(1))
    if not len(occurs):
        return ()
    confusion, classes = confusion[np.ix_(occurs, occurs)], [classes[label] for label in occurs]
    parts: list[Picture | Table] = []
    if len(classes) <= MOST_NAMES:
        caption = f'Share of the {what} of each true class (row) that are predicted as each class (column).'
        parts.append(Picture(confusion_picture(confusion, tuple(classes)), caption))
    if len(classes) > _MANY:
        parts.append(_largest(confusion, classes, what))
    return tuple(parts)


def _largest(confusion: np.ndarray, classes: Sequence[str], what: str) -> Table:
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    totals = confusion.sum(1)
    order = np.argsort(-wrong, axis=None, kind='stable')[:_LISTED]
    rows = tuple(
        (classes[true], classes[predicted], int(wrong[true, predicted]), _share(wrong[true, predicted], totals[true]))
        for true, predicted in zip(*np.unravel_index(order, wrong.shape))
        if wrong[true, predicted]
    )
    columns = ('true class', 'predicted as', what, f'% of the {what} of the true class')
    return Table(columns, rows, f'The confusions with the most {what}, at most {_LISTED}.')


def _share(part: int, whole: int) -> float:
    return round(100 * float(part) / float(whole), 1)
