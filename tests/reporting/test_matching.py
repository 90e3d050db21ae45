"""Which predicted object is which true one, and what is counted of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.inference.objects import Objects
from mae_transfer.reporting.matching import FALSE, IN_CROWD, Counts, add_confusions, counts, match

SIDE = 10.0


def objects(*entries):
    """Squares of 10 pixels, each (left, label, score), at the top of an image."""
    boxes = np.array([(left, 0, left + SIDE, SIDE) for left, *_ in entries], np.float32).reshape(-1, 4)
    labels, scores = (
        np.array([entry[place] for entry in entries], kind) for place, kind in ((1, int), (2, np.float32))
    )
    return Objects(boxes, scores, labels, None)


def truth(*entries):
    return objects(*((left, label, 1.0) for left, label in entries))


def crowds(*flags):
    return np.array(flags, bool)


def test_the_best_score_chooses_first_and_an_object_is_found_once():
    predicted = objects((1, 0, 0.5), (0, 0, 0.9), (2, 0, 0.7))
    assert match(truth((0, 0)), crowds(False), predicted, True).tolist() == [FALSE, 0, FALSE]


def test_the_overlap_must_be_half_of_the_union():
    # Squares that are moved by 10 / 3 pixels share two thirds of a side: 2/3 / (4/3) is a half.
    predicted = objects((10 / 3 - 0.01, 0, 0.9), (60 + 10 / 3 + 0.01, 0, 0.8))
    assert match(truth((0, 0), (60, 0)), crowds(False, False), predicted, True).tolist() == [0, FALSE]


@pytest.mark.parametrize('by_class, expected', [(True, FALSE), (False, 0)])
def test_classes(by_class, expected):
    assert match(truth((0, 1)), crowds(False), objects((0, 0, 0.9)), by_class).tolist() == [expected]


def test_what_lies_in_a_crowd_counts_nowhere():
    one = truth((0, 0), (20, 0))
    predicted = objects((0, 0, 0.9), (0, 0, 0.8), (20, 0, 0.7), (20, 1, 0.6))
    assert match(one, crowds(True, False), predicted, True).tolist() == [IN_CROWD, IN_CROWD, 1, FALSE]
    assert counts(one, crowds(True, False), predicted) == Counts(found=1, missed=0, false=1)


def test_no_objects():
    assert match(truth(), crowds(), objects((0, 0, 0.9)), True).tolist() == [FALSE]
    assert len(match(truth((0, 0)), crowds(False), objects(), True)) == 0
    assert counts(truth(), crowds(), objects()) == Counts(0, 0, 0) and Counts(0, 0, 0).f1 == 1


def test_f1_and_what_is_worse():
    assert Counts(found=2, missed=1, false=2).f1 == pytest.approx(4 / 7)
    order = [Counts(0, 3, 0), Counts(0, 1, 0), Counts(1, 1, 1), Counts(3, 0, 0)]
    assert sorted(reversed(order), key=lambda count: count.badness, reverse=True) == order


def test_confusions_with_the_background_last():
    confusion = np.zeros((3, 3), np.int64)
    one = truth((0, 0), (20, 1), (40, 1))
    # The second object is class 0 by its better prediction; the other one is a false object then. The third is missed.
    predicted = objects((0, 0, 0.9), (20, 0, 0.8), (20, 1, 0.7))
    add_confusions(confusion, one, crowds(False, False, False), predicted)
    assert confusion.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


squares = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2), st.floats(0, 1)), max_size=8)


@given(squares, squares)
def test_each_object_counts_once(true, predicted):
    one, is_crowd = objects(*true), np.zeros(len(true), bool)
    for by_class in (True, False):
        found = match(one, is_crowd, objects(*predicted), by_class)
        hits = found[found >= 0]
        assert len(set(hits.tolist())) == len(hits)
    confusion = np.zeros((4, 4), np.int64)
    add_confusions(confusion, one, is_crowd, objects(*predicted))
    assert confusion[:3].sum() == len(true) and confusion[:, :3].sum() == len(predicted) and confusion[3, 3] == 0
