"""List files with a label for each image."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from ...errors import UserError, shorten
from ...paths import shown
from ..files.image_files import SUFFIXES
from ..files.lists import Listing, read_list
from .classes import alike
from .source import Source

#: What to do if no listed file exists.
PREFIX_ADVICE = 'set data_prefix to the folder below data_root that the paths are relative to'

_WHOLE = re.compile(r'([+-]?\d{1,18})(?:\.0*)?')  # 18 digits fit into int64
_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?')
_MISSING = ('nan', 'none', 'null', 'na', 'n/a', '?', '-')
MOST_CLASSES = 1_000_000  # a number above that is something else, such as an id


def read_labelled_list(
    file: Path, root: Path, classes: tuple[str, ...] | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> Source:
    """Read a list file with a path and a label on each line; the labels are either all numbers or all class names.

    For the forms of its lines see :func:`~mae_transfer.data.files.lists.read_list`.

    Raises:
        UserError: no file; what ``read_list`` raises; a label that is out of range, missing, or not a class.
    """
    check_annotations(file)
    listing = read_list(file, root, labelled=True, suffixes=suffixes, advice=PREFIX_ADVICE)
    notes = list(listing.notes)
    if whole_number(listing.labels[0]) is None:
        _refuse_odd_numbers(file, listing)
    named = classes is not None and set(map(shown, listing.labels)) <= set(classes)
    numbered = not named and whole_number(listing.labels[0]) is not None
    if numbered:
        labels = _parse_numbers(file, listing, classes)
        if classes is None and labels.max() >= MOST_CLASSES:
            raise UserError(
                f'{shown(file)}: the labels go up to {labels.max()}: expected numbers of classes from 0; for ids write '
                "words, e.g. 'id7' instead of 7"
            )
        class_names = classes or tuple(str(label) for label in range(labels.max() + 1))
        if classes is None and labels.min() > 0:
            notes.append(
                f'{shown(file)}: no image has the label 0, the least is {labels.min()}: labels are numbered from 0, so '
                'class 0 is one without images'
            )
        used = np.unique(labels)
        if classes is None and 2 * len(used) < len(class_names) > 2:
            notes.append(
                f'{shown(file)}: {len(class_names) - len(used)} of {len(class_names)} classes have no image: the '
                f'labels are {shorten(map(str, used), 4)}; if these are ids, write words'
            )
    else:
        class_names = classes or tuple(sorted(set(map(shown, listing.labels))))
        notes += alike(class_names, file)
        label_of = {name: label for label, name in enumerate(class_names)}
        for word, line_number in zip(map(shown, listing.labels), listing.lines):
            if word not in label_of:
                raise UserError(
                    f"{shown(file)}, line {line_number}: '{word}' is none of the {len(class_names)} classes"
                )
        labels = np.array([label_of[shown(word)] for word in listing.labels], np.int64)
    if (contradictory := _contradictory(listing.names, labels)) is not None:
        notes.append(f"{shown(file)}: some images are listed with several labels, e.g. '{shown(contradictory)}'")
    return Source(
        root,
        listing.names,
        labels,
        class_names,
        present=tuple(range(len(class_names))),
        numbered=numbered and classes is None,
        notes=tuple(notes),
        missing=listing.missing,
    )


def whole_number(word: str) -> int | None:
    """The whole number that a word stands for, such as 3, 3.0 or 3e0; None for other words."""
    if (match := _WHOLE.fullmatch(word)) is not None:
        return int(match[1])
    number = float(word) if _NUMBER.fullmatch(word) else 0.5
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def _refuse_odd_numbers(file: Path, listing: Listing) -> None:
    """Refuse labels that are numbers, but no classes, and labels that are missing; raises ``UserError``."""
    places = list(zip(listing.labels, listing.lines))
    fault = next(
        ((word, line) for word, line in places if _NUMBER.fullmatch(word) and whole_number(word) is None), None
    )
    if fault is not None:
        raise UserError(
            f"{shown(file)}, line {fault[1]}: label '{shown(fault[0])}' is a number, but no class's: expected whole "
            'numbers from 0, or words'
        )
    others = {word for word in listing.labels if word.lower() not in _MISSING}
    absent = next(((word, line) for word, line in places if word.lower() in _MISSING), None)
    if absent is not None and others and all(whole_number(word) is not None for word in others):
        raise UserError(
            f"{shown(file)}, line {absent[1]}: label '{shown(absent[0])}' is no number: give one, or no image"
        )


def _contradictory(names: list[str], labels: np.ndarray) -> str | None:
    """The first image that is listed with two labels, if there is one."""
    if len(set(names)) == len(names):
        return None
    label_of: dict[str, int] = {}
    return next(
        (name for name, label in zip(names, labels.tolist()) if label_of.setdefault(name, label) != label), None
    )


def _parse_numbers(file: Path, listing: Listing, classes: tuple[str, ...] | None) -> np.ndarray:
    """The labels of a list file whose first label is a number."""
    labels = np.empty(len(listing.labels), np.int64)
    for index, (word, line) in enumerate(zip(listing.labels, listing.lines)):
        if (number := whole_number(word)) is None:
            raise UserError(
                f"{shown(file)}, line {line}: label '{shown(word)}' is not a whole number, although the first label "
                'is one'
            )
        labels[index] = label = number
        if label < 0 or classes and label >= len(classes):
            expected = 'labels begin at 0'
            if classes:
                expected = f'{len(classes)} classes have the labels 0 to {len(classes) - 1}'
                expected += '; are they numbered from 1?' if label == len(classes) else ''
            raise UserError(f'{shown(file)}, line {line}: label {label} is out of range: {expected}')
    return labels


def check_annotations(file: Path) -> None:
    """Raise ``UserError`` if an annotation file does not exist."""
    if not os.path.isfile(file):
        raise UserError(f'ann_file {shown(file)} does not exist: its path is relative to data_root')
