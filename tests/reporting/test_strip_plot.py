"""Results of runs as dots: where they are, and their mean."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.reporting.strip_plot import strip_plot


def drawn(svg: str) -> dict[str, tuple[list[float], list[float], set[str]]]:
    """Of each row: where its dots are, where its bar is, and its heights."""
    found = {}
    for group in ElementTree.fromstring(svg).iter('g'):
        dots = group.findall('circle')
        bars = [float(path.get('d')[1:].split()[0]) for path in group.findall('path')]
        found[group.get('data-row')] = [float(dot.get('cx')) for dot in dots], bars, {dot.get('cy') for dot in dots}
    return found


def test_a_dot_for_each_run_and_a_bar_at_the_mean():
    svg = strip_plot({'mae': [50.0, 54.0, 52.0], 'random weights': [40.0, 41.0, 45.0]}, 'top-1')
    mae, random = drawn(svg).values()
    assert len(mae[0]) == len(random[0]) == 3 and mae[2] != random[2]
    (bar,) = mae[1]
    assert bar == pytest.approx(mae[0][2], abs=0.02) and mae[0][0] < bar < mae[0][1]
    assert random[1][0] < bar and random[1][0] == pytest.approx(sum(random[0]) / 3, abs=0.02)
    texts = [element.text for element in ElementTree.fromstring(svg).iter('text')]
    assert {'mae', 'random weights', 'top-1', '45', '50'} <= {*texts}
    assert [title.text for title in ElementTree.fromstring(svg).iter('title')][:2] == ['50', '54']


def test_a_single_run_has_no_bar():
    assert drawn(strip_plot({'a': [1.0], 'b': [2.0]}, 'mIoU'))['a'][1] == []


def test_names_are_cut_and_escaped():
    svg = strip_plot({'a < b & "c"': [1.0], 'x' * 80: [2.0]}, 'AP <box>')
    assert {*drawn(svg)} == {'a < b & "c"', 'x' * 80}
    texts = [element.text for element in ElementTree.fromstring(svg).iter('text')]
    assert {'a < b & "c"', 'AP <box>'} <= {*texts} and max(map(len, texts)) == 34


@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4), min_size=1, max_size=12))
def test_nothing_is_drawn_outside(rows):
    svg = strip_plot({str(number): values for number, values in enumerate(rows)}, 'AP')
    width, height = map(float, ElementTree.fromstring(svg).get('viewBox').split()[2:])
    found = drawn(svg)
    assert len(found) == len(rows)
    for (dots, bars, heights), values in zip(found.values(), rows):
        assert all(0 <= at <= width for at in (*dots, *bars)) and all(0 < float(at) < height for at in heights)
        order = sorted(range(len(values)), key=lambda i: values[i])
        assert all(dots[i] <= dots[j] for i, j in zip(order, order[1:]))
