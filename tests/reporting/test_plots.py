"""Lines as SVG: where the points are, and what is no number."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.reporting.plots import line_plot, thinned
from mae_transfer.reporting.svg import COLOURS


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    """The coordinates of each line."""
    lines = [element.get('points').split() for element in parsed(svg).iter('polyline')]
    return [[tuple(map(float, point.split(','))) for point in line] for line in lines]


def values_of(svg: str) -> list[list[tuple[float, float]]]:
    """The values of each line, as the page's script reads them."""
    root = parsed(svg)
    left, top, right, bottom = map(float, root.get('data-box').split())
    (x_low, x_high), (y_low, y_high) = (map(float, root.get(name).split()) for name in ('data-x', 'data-y'))
    is_log = root.get('data-log') == '1'
    if is_log:
        y_low, y_high = math.log10(y_low), math.log10(y_high)
    found = []
    for line in points_of(svg):
        values = [
            (
                x_low + (x - left) / (right - left) * (x_high - x_low),
                y_low + (bottom - y) / (bottom - top) * (y_high - y_low),
            )
            for x, y in line
        ]
        found.append([(x, 10**y if is_log else y) for x, y in values])
    return found


@pytest.mark.parametrize('log', [False, True])
def test_the_values_can_be_read_off_again(log):
    series = {'a': [(0, 1e-4), (1, 0.02), (2, 3.0)], 'b': [(1, 0.5), (2, 0.25)]}
    for (_, points), found in zip(series.items(), values_of(line_plot(series, 'epoch', 'loss', log=log))):
        for (x, y), (x_found, y_found) in zip(points, found):
            assert x_found == pytest.approx(x, abs=1e-3) and y_found == pytest.approx(y, rel=1e-3, abs=2e-4)


def test_text_is_text_and_is_escaped():
    svg = line_plot({'a < b & "c"': [(0, 1), (1, 2)]}, 'epoch <i>', 'loss')
    texts = [element.text for element in parsed(svg).iter('text')]
    assert {'a < b & "c"', 'epoch <i>', 'loss', '1', '2'} <= {*texts}
    assert parsed(svg).find('g').get('data-name') == 'a < b & "c"'


def test_a_line_has_gaps_where_values_are_no_numbers():
    points = [(0, 1.0), (1, float('nan')), (2, 2.0), (3, 3.0), (4, float('inf')), (5, 1.0)]
    assert [len(line) for line in points_of(line_plot({'loss': points}, 'x', 'y'))] == [1, 2, 1]
    assert [len(line) for line in points_of(line_plot({'a': [(0, 0.0), (1, 1.0), (2, 2.0)]}, 'x', 'y', log=True))] == [
        2
    ]


@pytest.mark.parametrize('series', [{}, {'a': []}, {'a': [(0, float('nan'))]}])
def test_without_values_it_says_so(series):
    svg = line_plot(series, 'x', 'y')
    assert [element.text for element in parsed(svg).iter('text')] == ['no values'] and 'data-box' not in svg


@pytest.mark.parametrize('value, limits', [(0.0, '0.0 1.0'), (-2.0, '-2.2 -1.8')])
def test_a_line_of_one_value_is_within_its_axis(value, limits):
    assert parsed(line_plot({'a': [(0, value), (1, value)]}, 'x', 'y')).get('data-y') == limits


def test_many_lines_have_colours_or_dashes_of_their_own():
    svg = line_plot({f'line {i}': [(0, i), (1, i)] for i in range(len(COLOURS) + 2)}, 'x', 'y')
    styles = [(line.get('stroke'), line.get('stroke-dasharray')) for line in parsed(svg).iter('polyline')]
    assert len({*styles}) == len(COLOURS) + 2


NUMBERS = st.floats(-1e30, 1e30, allow_subnormal=False)


@given(st.dictionaries(st.sampled_from('abc'), st.lists(st.tuples(NUMBERS, NUMBERS), max_size=6)), st.booleans())
def test_any_values_are_drawn_within_the_box(series, log):
    svg = line_plot({name: sorted(points) for name, points in series.items()}, 'x', 'y', log=log)
    if 'data-box' not in svg:
        return
    left, top, right, bottom = map(float, parsed(svg).get('data-box').split())
    for x, y in (point for line in points_of(svg) for point in line):
        assert left - 0.1 <= x <= right + 0.1 and top - 0.1 <= y <= bottom + 0.1


def test_thinning_keeps_ends_and_peaks():
    points = [(float(i), 0.0) for i in range(10_000)]
    points[4321] = (4321.0, 9.0)
    points[77] = (77.0, -9.0)
    kept = thinned(points, 50)
    assert len(kept) <= 50 and kept == sorted(kept)
    assert {points[0], points[-1], points[4321], points[77]} <= {*kept}
    assert thinned(points[:50], 50) == points[:50]
