"""Ratios of rounds, their spread, and the order of the sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.benchmarks.ratios import in_turns, markdown, ratio_cell, spread

TIMES = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9)


def test_few_rounds_show_all_of_their_ratios_and_many_the_middle_half():
    assert ratio_cell([2.0, 3.0], [1.0, 2.0]) == '1.75 (1.50 to 2.00)'
    assert spread([5.0, 1.0, 2.0, 3.0, 4.0]) == (2.0, 4.0)
    with pytest.raises(ValueError):
        ratio_cell([1.0], [1.0, 2.0])


@given(TIMES)
def test_what_slows_both_sides_of_a_round_leaves_the_ratio(seconds):
    assert ratio_cell([3 * value for value in seconds], seconds) == '3.00 (3.00 to 3.00)'


@given(st.lists(st.text('abc', min_size=1), min_size=1, unique=True), st.integers(0, 9))
def test_each_side_comes_once_and_the_order_alternates(names, number):
    assert sorted(in_turns(names, number)) == sorted(names)
    assert in_turns(names, number) == in_turns(names, number + 1)[::-1]


def test_a_table():
    assert markdown(['a', 'b'], [['1', '']]) == '| a | b |\n| --- | --- |\n| 1 |  |'
