"""What is said about label maps on start-up, and which leave nothing to learn."""

from __future__ import annotations

import numpy as np
import pytest

from mae_transfer.data.label_maps.label_numbers import Numbering
from mae_transfer.data.label_maps.reading import LabelMap
from mae_transfer.data.label_maps.survey import Survey
from mae_transfer.errors import UserError

CLASSES = ('background', 'crack')


def survey(*maps, zero_is_none=True, values=None, classes=CLASSES, forms=(), orientations=(), training=False):
    """A survey of label maps, each a list of its pixels."""
    found = Survey(Numbering(classes, zero_is_none and values is None, values), 'labels', training)
    for i, numbers in enumerate(maps):
        kind = np.uint8 if 0 <= min(numbers) and max(numbers) < 256 else np.int64
        form = forms[i] if i < len(forms) else ''
        orientation = orientations[i] if i < len(orientations) else 1
        found.add(f'{i}.png', LabelMap(np.array([numbers], kind), form), orientation)
    return found


@pytest.fixture
def said(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr('mae_transfer.data.label_maps.survey.print_log', lambda line, **settings: lines.append(line))
    return lines


MASK = (
    'for a class at 255 on a background at 0, set label_values=0,255; if 255 is to be ignored, there is but one class, '
    'and nothing to tell apart'
)


@pytest.mark.parametrize(
    'maps, settings, says',
    [
        (
            [[0, 255], [0, 0]],
            dict(),
            'labels: all 2 label maps contain only 0 and 255, of which 0 and 255 are ignored by '
            f'reduce_zero_label=True: {MASK}',
        ),
        (
            [[0, 255]],
            dict(zero_is_none=False),
            f'labels: all 1 label maps contain only 0 and 255, of which 255 is ignored: {MASK}',
        ),
        ([[0, 255]], dict(classes=('a', 'b', 'c')), 'set label_values=0,255 classes=background,NAME; if'),
        (
            [[0, 0]],
            dict(),
            'only 0, of which 0 is ignored by reduce_zero_label=True: label some pixels, or, if 0 is a class, '
            'set reduce_zero_label=False',
        ),
        ([[255]], dict(), 'only 255, of which 255 is ignored: label some pixels, or give the number of each class'),
        ([[255]], dict(zero_is_none=False), 'only 255, of which 255 is ignored: label some pixels'),
        ([[7, 9]], dict(values=(0, 255)), 'only 7, 9, none of label_values=(0, 255): give the number of each class'),
    ],
)
def test_label_maps_without_anything_to_tell_apart_are_refused(maps, settings, says):
    with pytest.raises(UserError) as caught:
        survey(*maps, **settings).check()
    assert says in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'maps, settings',
    [
        ([[0, 1, 255], [0, 0]], dict()),
        ([[0, 0], [0, 2]], dict()),
        ([[0, 0]], dict(zero_is_none=False)),
        ([[0, 1, 255]], dict(zero_is_none=False)),
        ([[0, 255]], dict(values=(0, 255))),  # what is advised for masks
        ([[0, 255]], dict(values=(0, 1))),
        ([[1, 1]], dict()),
    ],
)
def test_what_is_labelled_passes(maps, settings):
    found = survey(*maps, **settings)
    found.check()
    assert found.says_something


ONE = (
    "labels: all 2 label maps contain no class but 'background', so that there is nothing to tell apart: label another"
)


@pytest.mark.parametrize(
    'maps, settings, says',
    [
        ([[0, 0], [0, 0]], dict(zero_is_none=False), ONE),
        ([[1, 1], [1, 255]], dict(), ONE),
        ([[0, 255], [0, 0]], dict(values=(0, 1)), ONE),
        (
            [[0, 1], [0, 0]],
            dict(),
            f'{ONE} class, too; the numbers end at 1, and 0 is ignored: if 0 is the first class, set',
        ),
        ([[0, 0], [0, 0]], dict(), 'only 0, of which 0 is ignored by reduce_zero_label=True: label some pixels'),
        ([[0, 255]], dict(zero_is_none=False), MASK),
    ],
)
def test_training_takes_two_classes(maps, settings, says):
    with pytest.raises(UserError) as caught:
        survey(*maps, **settings, training=True).check()
    assert says in str(caught.value) and '\n' not in str(caught.value)
    survey(*maps, [1, 0, 2 - (not settings.get('zero_is_none', True))], **settings, training=True).check()


def test_a_wrong_number_is_named_with_the_values_that_the_classes_seem_to_have():
    with pytest.raises(UserError, match='label map 1.png contains the value 128; expected 1..2 .*label_values=128,255'):
        survey([0, 255], [0, 128]).check()


@pytest.mark.parametrize(
    'maps, settings, every, lines',
    [
        (
            [[1, 2, 0, 0]],
            dict(),
            True,
            ['labels: 50 % of the pixels of all 1 label maps are labelled, with 2 of 2 classes'],
        ),
        (
            [[1, 0, 0]],
            dict(),
            False,  # others may have it
            ['labels: 33.3 % of the pixels of evenly spread 1 label maps are labelled, with 1 of 2 classes'],
        ),
        (
            [[0, 1], [0, 255]],
            dict(),
            True,
            [
                'labels: 25 % of the pixels of all 2 label maps are labelled, with 1 of 2 classes',
                'labels: 1 of 2 classes have no pixel in the 2 label maps: crack; the numbers end at 1, and 0 is '
                'ignored: if 0 is the first class, set reduce_zero_label=False',
            ],
        ),
        (
            [[1, 255]],
            dict(),
            True,
            [
                'labels: 50 % of the pixels of all 1 label maps are labelled, with 1 of 2 classes',
                'labels: 1 of 2 classes have no pixel in the 1 label maps: crack; 255 is ignored: if it is a class, '
                'set label_values=1,255',
            ],
        ),
        (
            [[0, 255, 3, 900]],
            dict(values=(0, 255)),
            True,
            [
                'labels: 50 % of the pixels of all 1 label maps are labelled, with 2 of 2 classes; ignored, as '
                'label_values does not name them: 3, 900'
            ],
        ),
        (
            [[1, 2], [1, 2], [1, 2]],
            dict(forms=['whole floats', '', 'whole floats']),
            True,
            [
                'labels: 100 % of the pixels of all 3 label maps are labelled, with 2 of 2 classes',
                'labels: 2 of 3 label maps examined hold whole floats, which are read as one number per pixel',
            ],
        ),
    ],
)
def test_what_is_learnt_is_said(maps, settings, every, lines, said):
    survey(*maps, **settings).say(every)
    assert said == lines


@pytest.mark.parametrize('orientation, is_said', [(1, False), (2, True), (3, True), (4, True), (6, False), (8, False)])
def test_orientations_that_the_size_does_not_show_are_said(orientation, is_said, said):
    survey([1, 2], [1, 2], orientations=[orientation]).say(True)
    told = [line for line in said if 'EXIF' in line]
    assert len(told) == is_said
    assert all(
        'labels: 1 of 2 images are shown upside down or mirrored by their EXIF orientation' in line for line in told
    )


def with_palette(survey, number, indices, colours):
    survey.add(f'{number}.png', LabelMap(np.array([indices], np.uint8), '', np.array(colours, np.uint8)), 1)


RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


def test_palettes_that_number_colours_differently_are_refused():
    """As where each colour picture was reduced to a palette by itself."""
    found = Survey(Numbering(CLASSES), 'labels')
    with_palette(found, 0, [0, 1, 2], [BLACK, RED, BLUE])
    with_palette(found, 1, [0, 1], [BLACK, BLUE])
    with pytest.raises(UserError, match=r'of 1 of 2 label maps .*, e.g. \(0, 0, 255\) is 2 in 0.png and 1 in 1.png'):
        found.check_numbers()


@pytest.mark.parametrize(
    'indices, colours', [([0, 1], [BLACK, RED]), ([0, 2], [BLACK, RED, BLUE]), ([0, 1], [RED] * 2)]
)
def test_other_palettes_are_not_compared(indices, colours):
    """The same one, cut; colours that are not used; one that does not tell classes apart."""
    found = Survey(Numbering(CLASSES), 'labels')
    with_palette(found, 0, [0, 1, 2], [BLACK, RED, BLUE])
    with_palette(found, 1, indices, colours)
    found.check_numbers()
