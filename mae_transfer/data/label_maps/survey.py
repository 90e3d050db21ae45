"""What is learnt from some label maps: counted when a run starts, and said."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
from mmengine.logging import print_log

from ...errors import UserError, shorten
from .label_numbers import IGNORED, Numbering
from .reading import LabelMap

#: EXIF orientations by which an image is shown upside down or mirrored, but as wide and high as it is stored.
_SAME_SIZE = (2, 3, 4)


class Survey:
    """Counts over label maps.

    Args:
        numbering: which number means which class.
        folder: of the label maps, for messages.
        training: whether a model is trained on them, which takes two classes; for an evaluation one is enough.
    """

    def __init__(self, numbering: Numbering, folder: str, training: bool = True) -> None:
        self.numbering, self.folder, self.training = numbering, folder, training
        self.pixels: Counter[int] = Counter()  # of each number
        self.forms: Counter[str] = Counter()
        self.unreadable: list[UserError] = []  # errors of those that were left out
        self.numbers_of: dict[str, np.ndarray] = {}
        self._places: dict[tuple[int, ...], tuple[int, str]] = {}  # of colours: an index, and a file
        self._renumbered: list[str] = []  # files whose palettes number colours in another way, described
        self.turned = 0  # images whose orientation their size does not show

    def add(self, path: str, label_map: LabelMap, orientation: int) -> None:
        """Count a label map, and the EXIF orientation of its image (1: as stored)."""
        found, counts = _counted(label_map.numbers)
        self.numbers_of[path] = found
        self.pixels.update(dict(zip(found.tolist(), counts.tolist())))
        if label_map.form:
            self.forms[label_map.form] += 1
        self.turned += orientation in _SAME_SIZE
        if label_map.palette is not None:
            self._compare_palette(path, found, label_map.palette)

    def _compare_palette(self, path: str, found: np.ndarray, palette: np.ndarray) -> None:
        """Note a file in which a colour has another index than in one before, as where each is reduced by itself."""
        indices = found[found < len(palette)].tolist()
        colours = [tuple(colour) for colour in palette[indices].tolist()]
        if len(set(colours)) < len(colours):  # such a palette does not tell classes apart
            return
        for colour, index in zip(colours, indices):
            first, where = self._places.setdefault(colour, (index, path))
            if first != index:
                self._renumbered.append(f'{colour} is {first} in {where} and {index} in {path}')
                return

    @property
    def pixels_of_classes(self) -> list[int]:
        """The number of pixels of each class."""
        return [self.pixels[number] for number in self.numbering.numbers.tolist()]

    @property
    def labelled(self) -> int:
        """The number of pixels of all classes."""
        return sum(self.pixels_of_classes)

    @property
    def says_something(self) -> bool:
        """Whether something can be learnt from them, or evaluated on them."""
        # A mask whose class is 255 has but its background at 0.
        is_mask = self.numbering.values is None and self._found().tolist() == [0, IGNORED]
        return not is_mask and sum(count > 0 for count in self.pixels_of_classes) >= 1 + self.training

    def check_numbers(self) -> None:
        """Refuse numbers that mean nothing, or another class in each file; raises ``UserError``."""
        if self._renumbered:
            raise UserError(
                f'{self.folder}: the palettes of {len(self._renumbered)} of {len(self.numbers_of)} label maps number '
                f'colours differently, e.g. {self._renumbered[0]}: the index is the label, not the colour: save '
                'all with one palette'
            )
        everywhere = self._found()
        for path, found in self.numbers_of.items():
            self.numbering.check(path, found, everywhere)

    def check(self) -> None:
        """Refuse label maps that say nothing.

        Raises:
            UserError: a number that is neither of a class nor ignored; no labelled pixel; masks of 0 and 255 alone,
                where 255 is ignored; a single class, where a model is trained; no file that can be read.
        """
        if not self.numbers_of and self.unreadable:
            raise self.unreadable[0]
        self.check_numbers()
        if self.says_something:
            return
        found, labelled = self._found(), [count > 0 for count in self.pixels_of_classes]
        every = f'{self.folder}: all {len(self.numbers_of)} label maps contain'
        if not any(labelled) or found.tolist() == [0, IGNORED] and self.numbering.values is None:
            raise UserError(f'{every} only {self._named(found)}{self._advice(found)}')
        raise UserError(
            f"{every} no class but '{self.numbering.classes[labelled.index(True)]}', so that there is nothing to tell "
            f'apart: label another class, too{self._shift_advice()}'
        )

    def say(self, every: bool) -> None:
        """Log what was found; ``every`` says whether these are all label maps of the data set."""
        per_class, total = self.pixels_of_classes, sum(self.pixels.values())
        absent = [name for name, count in zip(self.numbering.classes, per_class) if not count]
        count, classes = len(self.numbers_of), len(per_class)
        print_log(
            f'{self.folder}: {100 * self.labelled / total:.3g} % of the pixels of {"all" if every else "evenly spread"}'
            f' {count} label maps are labelled, with {classes - len(absent)} of {classes} classes{self._left_out()}',
            logger='current',
        )
        for form, files in self.forms.items():
            self._warn(f'{files} of {count} label maps examined hold {form}, which are read as one number per pixel')
        if absent and every:
            self._warn(
                f'{len(absent)} of {classes} classes have no pixel in the {count} label maps: {shorten(absent)}'
                f'{self._shift_advice()}'
            )
        # Whether such a label map fits cannot be seen: it is as wide and high either way.
        if self.turned:
            self._warn(
                f'{self.turned} of {count} images are shown upside down or mirrored by their EXIF orientation (2, 3 or '
                '4): their label maps must be drawn on the images as shown with exif_orientation=True, '
                'and as stored with exif_orientation=False'
            )

    def _found(self) -> np.ndarray:
        return np.array(sorted(self.pixels), np.int64)

    def _named(self, found: np.ndarray) -> str:
        """The numbers found, with those that are ignored."""
        if self.numbering.values is not None:
            return f'{shorten(map(str, found))}, none of label_values={self.numbering.values}'
        zero = self.numbering.reduce_zero_label
        ignored = [str(number) for number in found if number == IGNORED or number == 0 and zero]
        verb = 'is' if len(ignored) == 1 else 'are'
        because = ' by reduce_zero_label=True' if '0' in ignored else ''
        return f'{" and ".join(map(str, found))}, of which {" and ".join(ignored)} {verb} ignored{because}'

    def _advice(self, found: np.ndarray) -> str:
        """What would be right where no pixel is of a class, or only 0 is."""
        numbering = self.numbering
        if numbering.values is not None:
            return ': give the number of each class, in the order of classes'
        if found.tolist() == [0, IGNORED]:
            classes = '' if len(numbering.classes) == 2 else ' classes=background,NAME'
            return (
                f': for a class at 255 on a background at 0, set label_values=0,255{classes}; if 255 is to be ignored, '
                'there is but one class, and nothing to tell apart'
            )
        if found.tolist() == [0]:
            return ': label some pixels' + (
                '' if self.training else ', or, if 0 is a class, set reduce_zero_label=False'
            )
        return ': label some pixels, or give the number of each class, label_values=...'

    def _left_out(self) -> str:
        """The numbers that ``values`` does not name."""
        if self.numbering.values is None:
            return ''
        others = [number for number in sorted(self.pixels) if number not in self.numbering.values]
        return f'; ignored, as label_values does not name them: {shorten(map(str, others))}' if others else ''

    def _shift_advice(self) -> str:
        """A hint where a number that is ignored seems to be a class: 0 as the first, or 255 as the last."""
        count = len(self.numbering.classes)
        highest = max((number for number in self.pixels if number != IGNORED), default=0)
        if self.numbering.values is None and self.numbering.reduce_zero_label and self.pixels[0] and highest < count:
            return (
                f'; the numbers end at {highest}, and 0 is ignored: if 0 is the first class, set '
                'reduce_zero_label=False'
            )
        if self.numbering.values is None and self.pixels[IGNORED]:
            numbers = self._found()
            numbers = numbers[numbers != 0] if self.numbering.reduce_zero_label else numbers
            if len(numbers) == count:
                return f'; 255 is ignored: if it is a class, set label_values={",".join(map(str, numbers))}'
        return ''

    def _warn(self, line: str) -> None:
        print_log(f'{self.folder}: {line}', logger='current', level=logging.WARNING)


def _counted(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different numbers, sorted, and how often each occurs."""
    if numbers.dtype != np.uint8:
        found, counts = np.unique(numbers, return_counts=True)
        return found, counts
    counts = np.bincount(numbers.ravel(), minlength=256)  # faster than np.unique, which sorts
    found = np.flatnonzero(counts)
    return found, counts[found]


def found_numbers(numbers: np.ndarray) -> np.ndarray:
    """The different numbers in a label map, sorted."""
    return _counted(numbers)[0]
