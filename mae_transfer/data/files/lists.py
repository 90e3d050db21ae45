"""List files: text with a path, or a path and a label, on each line, as other programs and systems write them."""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...paths import shown
from .image_files import SUFFIXES, evenly
from .spellings import existing_names

#: Names of columns, the most specific first.
_PATH_COLUMNS = (
    *('path', 'filepath', 'file_path', 'image_path', 'img_path', 'filename', 'file_name', 'image_name', 'file'),
    *('image', 'img', 'image_id', 'id'),
)
LABEL_COLUMNS = ('label', 'class', 'class_name', 'category', 'target', 'label_id', 'class_id', 'category_id', 'labels')
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF32_LE, 'utf-32'),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF16_LE, 'utf-16'),
    (codecs.BOM_UTF16_BE, 'utf-16'),
)
_TEXTS = ('.txt', '.csv', '.tsv', '.json', '.jsonl', '.xml', '.yaml', '.yml')
_CONTROL = re.compile('[\x00-\x08\x0e-\x1b]')  # signs that no text has
_LINE_END = re.compile(r'\r\n|\n|\r')  # of all systems; file names may contain what else str.splitlines takes for one


@dataclass(frozen=True)
class Listing:
    """What the N lines of a list file name.

    Attributes:
        names: the paths, relative or absolute.
        labels: the labels as written; empty for a list without labels.
        lines: the number of each line in the file, from 1.
        notes: a sentence for each thing about the file that was not obvious.
        missing: how many of the images that were looked for do not exist; '' for none.
    """

    names: list[str]
    labels: list[str]
    lines: list[int]
    notes: tuple[str, ...] = ()
    missing: str = ''


def read_text(file: Path, setting: str, expected: str, names: bool = False) -> list[str]:
    """The lines of a text file: UTF-8, or UTF-16 or UTF-32 with a byte-order mark; otherwise the Western code page.

    Args:
        setting: what gives the file, for the error message; '' for none.
        expected: what the file should hold, for the error message.
        names: whether the lines hold names of files: bytes that are not UTF-8 are then kept as they are.

    Raises:
        UserError: a file that cannot be read or is not text.
    """
    label = f'{setting}: {shown(file)}' if setting else shown(file)
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise UserError(f'{label} cannot be read: {error.strerror}') from error
    encoding = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if raw.startswith(mark)), 'utf-8')
    try:
        text = raw.decode(encoding, 'surrogateescape' if names and encoding.startswith('utf-8') else 'strict')
    except UnicodeDecodeError:
        text = '\0' if encoding != 'utf-8' else raw.decode('cp1252', 'replace')
    if _CONTROL.search(text):
        raise UserError(f'{label} is not a text file: {expected}')
    return _LINE_END.split(text)


def read_list(
    file: Path, root: Path, labelled: bool, suffixes: tuple[str, ...] = SUFFIXES, advice: str = ''
) -> Listing:
    """Read a list file.

    Path and label are separated by spaces, a tab, a comma or a semicolon, and may be quoted. A path may contain spaces
    if it ends with an image's suffix, a label if it follows a tab, comma or semicolon. Blank lines and lines that begin
    with '# ' do not count. A first line that names the columns says where path and label are. Paths are relative to
    ``root``, or absolute, with either slash; of the spellings that the names may have had on another system, the one
    that exists is taken.

    Args:
        root: the folder that paths are relative to.
        labelled: whether each line has a label; otherwise all that follows the path is ignored.
        suffixes: of images, in lower case.
        advice: what to do if no file exists.

    Raises:
        UserError: a file that cannot be read, is no text, or names nothing; a line without a label or with more than
            one; a list of which no file exists.
    """
    example = 'a path and a label per line, e.g. cats/a.jpg 3' if labelled else 'one path per line'
    lines = [
        (number, line)
        for number, text in enumerate(read_text(file, '', f'expected {example}', names=True), 1)
        if (line := text.strip()) and not (line.startswith('#') and line[1:2] in ('', ' ', '#', '\t'))
    ]
    notes = []
    columns = _header(lines[0][1], labelled, suffixes) if lines else None
    if columns is not None:
        number, line = lines.pop(0)
        notes.append(f"{shown(file)}, line {number}: '{shown(line)}' is read as the names of the columns")
    if labelled and columns is None and lines:
        _refuse_columns(file, lines[0], suffixes)
    if not lines:
        raise UserError(f'list file {shown(file)} names no image: give {example}, relative to {shown(root)}')
    split = _splitter(suffixes) if columns is None else columns.split
    names, labels = [], []
    for number, line in lines:
        try:
            name, label = split(line, labelled)
        except ValueError as error:
            raise UserError(f'{shown(file)}, line {number}: {error}') from None
        names.append(name)
        labels.append(label)
    numbers = [number for number, _ in lines]
    names, spelling, missing = existing_names(names, root, file, advice, numbers, suffixes=suffixes)
    _refuse_no_images(file, root, names)
    if repeated := len(names) - len(set(names)):
        notes.append(f'{shown(file)}: {repeated} of {len(names)} lines name an image again')
    return Listing(names, labels if labelled else [], numbers, (*notes, *spelling), missing)


def _refuse_no_images(file: Path, root: Path, names: list[str]) -> None:
    """Refuse a list of folders, or of other lists; raises ``UserError``."""
    found = [name for i in evenly(len(names), 64) if os.path.exists(root / (name := names[i]))]
    for what, wrong in (
        ('folders', [name for name in found if os.path.isdir(root / name)]),
        ('files that are no images by their suffix', [name for name in found if name.lower().endswith(_TEXTS)]),
    ):
        if wrong and len(wrong) == len(found):
            raise UserError(f"{shown(file)} names {what}, e.g. '{shown(wrong[0])}': list the images")


# Lines ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    """Where path and label are in the lines below a header."""

    separator: str | None  # None: spaces
    count: int
    path: int
    label: int | None

    def split(self, line: str, labelled: bool) -> tuple[str, str]:
        """The path and the label of a line; raises ``ValueError``."""
        if self.separator is None and self.count == 2:  # one of the two may contain spaces
            cells = line.rsplit(None, 1) if self.path == 0 else line.split(None, 1)
        else:
            cells = _cells(line, self.separator)
        needed = max(self.path, self.label if labelled and self.label is not None else 0)
        if len(cells) <= needed or not cells[self.path]:
            raise ValueError(f"'{shown(line)}' has {len(cells)} columns, the first line {self.count}")
        label = cells[self.label] if labelled and self.label is not None else ''
        if labelled and not label:
            raise ValueError(f"no label in '{shown(line)}'")
        return cells[self.path], label


def _cells(line: str, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    try:
        (row,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
    except csv.Error as error:
        raise ValueError(f"'{shown(line[:80])}' cannot be divided into columns: {error}") from None
    return [cell.strip() for cell in row]


def _header(line: str, labelled: bool, suffixes: tuple[str, ...]) -> _Columns | None:
    """The columns, if a line names them: at least that of the paths and, in a labelled list, that of the labels."""
    separator = next((sign for sign in '\t;,' if sign in line), None)
    try:
        cells = [cell.lower().replace(' ', '_') for cell in _cells(line, separator)]
    except ValueError:
        return None
    path = next((cells.index(name) for name in _PATH_COLUMNS if name in cells), None)
    label = next((cells.index(name) for name in LABEL_COLUMNS if name in cells), None)
    if path is None or labelled and label is None or line.lower().endswith(suffixes):
        return None
    if separator is None and not set(cells) <= {*_PATH_COLUMNS, *LABEL_COLUMNS}:
        return None
    return _Columns(separator, len(cells), path, label)


def _refuse_columns(file: Path, first: tuple[int, str], suffixes: tuple[str, ...]) -> None:
    """Refuse names of columns without one for labels, as tables with a column for each class have them."""
    number, line = first
    separator = next((sign for sign in '\t;,' if sign in line), None)
    cells = [cell.strip().lower() for cell in line.split(separator)] if separator else []
    if len(cells) > 2 and cells[0] in _PATH_COLUMNS and not line.lower().endswith(suffixes):
        raise UserError(
            f"{shown(file)}, line {number}: '{shown(line[:80])}' names no column of labels: call it label, or class; a "
            'column for each class must be made one column of names'
        )


def _splitter(suffixes: tuple[str, ...]) -> Callable[[str, bool], tuple[str, str]]:
    """The function that divides a line without named columns into its path and its label; it raises ``ValueError``."""
    separated = r'(?:(\s*[,;\t]\s*|\s+)(.*))?'
    with_suffix = re.compile(f'(.*(?:{"|".join(map(re.escape, suffixes))})){separated}', re.IGNORECASE)
    quoted = re.compile(rf'(["\'])(.+?)\1{separated}')

    def split(line: str, labelled: bool) -> tuple[str, str]:
        if (match := quoted.fullmatch(line)) is not None:
            path, separator, label = match[2], match[3], match[4]
        elif (match := with_suffix.fullmatch(line)) is not None:
            path, separator, label = match[1], match[2], match[3]
        else:
            path, separator, label = _without_suffix(line, labelled)
        return path, _one_label(line, (separator or '').strip(' '), (label or '').rstrip(',;\t ')) if labelled else ''

    return split


def _without_suffix(line: str, labelled: bool) -> tuple[str, str, str]:
    """Path, separator and label of a line whose path has no image's suffix."""
    if (sign := next((sign for sign in '\t;,' if sign in line), None)) is not None:
        path, separator, label = line.rpartition(sign) if labelled else line.partition(sign)
        return path.strip(), separator, label
    parts = line.rsplit(None, 1) if labelled else line.split(None, 1)
    return parts[0], ' ', parts[1] if len(parts) > 1 else ''


def _one_label(line: str, separator: str, label: str) -> str:
    """The label without quotes; raises ``ValueError`` for none, and for several."""
    if not label:
        raise ValueError(f"no label in '{shown(line)}': expected a path and a label, in this order, e.g. cats/a.jpg 3")
    if len(label) > 1 and label[0] == label[-1] and label[0] in '"\'':
        return label[1:-1]
    if (separator in label) if separator else len(label.split()) > 1:
        raise ValueError(
            f"more than one label in '{shown(line)}': expected a path and one label; several columns need a first line "
            'that names them, e.g. path,label,author, and a label with spaces a comma before it'
        )
    return label
