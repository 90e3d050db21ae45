"""Which number in a label map means which class."""

from __future__ import annotations

import numpy as np
import pytest

from mae_transfer.data.label_maps.label_numbers import Numbering, parse_values
from mae_transfer.errors import UserError

CLASSES = ('road', 'field')


@pytest.mark.parametrize(
    'numbering, labels',
    [
        (Numbering(CLASSES, True), {0: 255, 1: 0, 2: 1, 255: 255}),
        (Numbering(CLASSES, False), {0: 0, 1: 1, 255: 255}),
        (Numbering(CLASSES, False, (0, 255)), {0: 0, 255: 1, 128: 255}),
        (Numbering(CLASSES, False, (255, 0)), {0: 1, 255: 0, 1: 255}),
        (Numbering(CLASSES, False, (1000, 7)), {1000: 0, 7: 1, 1: 255, 0: 255, 70000: 255, -1: 255}),
        (Numbering(CLASSES, False, (1000, 7)), {7: 1, 0: 255}),  # in a map of bytes
    ],
)
def test_numbers_become_labels(numbering, labels):
    numbers = np.array([list(labels)])
    kinds = (np.uint8, np.int64) if numbers.min() >= 0 and numbers.max() < 256 else (np.int64,)
    for kind in kinds:
        found = numbering.labels(numbers.astype(kind))
        assert found.tolist() == [list(labels.values())] and found.dtype == np.uint8
    assert not len(numbering.foreign(numbers[0]))


@pytest.mark.parametrize(
    'zero_is_none, found, everywhere, says',
    [
        (
            True,
            [0, 1, 3],
            None,
            'label map a.png contains the value 3; expected 1..2 for the classes and 0 or 255 for ignored pixels '
            '(reduce_zero_label=True): correct it, set classes=... to all classes, or give the value of each class, '
            'label_values=...',
        ),
        (
            False,
            [0, 2],
            None,
            'value 2; expected 0..1 for the classes and 255 for ignored pixels (reduce_zero_label=Fal',
        ),
        (True, [-1, 1], None, 'contains the value -1'),
        (True, [0, 1000], [0, 1000], 'label_values=0,1000'),
        (True, [0, 128], [0, 128, 255], 'label_values=128,255'),
        (True, [0, 128], [0, 64, 128, 255], 'label_values=...'),
        (True, [1, 65535], [1, 2, 65535], 'label_values=1,2 (all others are then ignored)'),
        (False, [0, 65535], [0, 1, 65535], 'label_values=0,1 ('),
        (False, [-1, 1], [-1, 0, 1], 'label_values=0,1 ('),
        (False, [1, 250], [0, 1, 250], 'label_values=... ('),
    ],
)
def test_a_number_that_means_nothing_is_refused(zero_is_none, found, everywhere, says):
    with pytest.raises(UserError) as caught:
        Numbering(CLASSES, zero_is_none).check(
            'a.png', np.array(found), None if everywhere is None else np.array(everywhere)
        )
    assert says in str(caught.value)


@pytest.mark.parametrize('given, values', [(None, None), ([0, 255], (0, 255)), ((255, 0), (255, 0))])
def test_values_are_as_many_different_numbers_as_classes(given, values):
    assert parse_values(given, CLASSES) == values


@pytest.mark.parametrize(
    'given, says',
    [
        (
            [0],
            'label_values has 1 different numbers (0), but there are 2 classes (road, field): give one number for each',
        ),
        (0, 'label_values has 1 different numbers'),
        ([7, 7], 'label_values has 1 different numbers (7, 7)'),
        ([0, 1, 2], 'label_values has 3 different numbers'),
        (
            [0, 0.5],
            'label_values are whole numbers from 0 to 65535, one for each class, e.g. label_values=0,255; found [0, '
            '0.5]',
        ),
        (
            'road',
            "label_values are whole numbers from 0 to 65535, one for each class, e.g. label_values=0,255; found 'road'",
        ),
        ([0, -1], 'label_values are whole numbers'),
        ([True, 2], 'label_values are whole numbers'),
    ],
)
def test_other_values_are_refused(given, says):
    with pytest.raises(UserError) as caught:
        parse_values(given, CLASSES)
    assert str(caught.value).startswith(says)
