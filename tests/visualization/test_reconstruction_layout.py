"""Pictures in a grid, with headings and lines of text."""

import numpy as np
import pytest
from PIL import ImageFont

from mae_transfer.visualization.reconstruction_layout import LEAST_WIDTH, LINE, placed, with_headings, with_lines


def grey(height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_rows_are_as_high_as_their_highest_picture_and_columns_as_wide_as_their_widest():
    sheet = placed([[grey(4, 6, 10), grey(8, 5, 20)], [grey(3, 9, 30)]], row_gap=1, column_gap=2)
    assert sheet.shape == (8 + 1 + 3, 9 + 2 + 5, 3)
    assert (sheet[4:8, :6] == 10).all() and (sheet[:8, 11:16] == 20).all() and (sheet[9:, :9] == 30).all()
    drawn = 4 * 6 + 8 * 5 + 3 * 9
    assert (sheet == 255).all(2).sum() == sheet.shape[0] * sheet.shape[1] - drawn


def test_a_heading_stands_in_the_middle_above_its_column():
    block = placed([[grey(10, 90, 0)] * 3], 4, 4)
    sheet = with_headings(block, ['i', 'two\nlines', 'i'], 4)
    assert np.array_equal(sheet[-10:], block) and sheet.shape[0] == 10 + 2 * LINE + 4
    ink = (sheet[: -10 - 4] < 128).any((0, 2))
    for place in range(3):
        columns = np.flatnonzero(ink[place * 94 : place * 94 + 90])
        assert abs(columns.mean() - 45) < 4
    assert not ink[90:94].any() and not ink[184:188].any()


@pytest.mark.parametrize('width', [20, 500])
def test_lines_are_wrapped_between_words(width):
    line = 'a line of many words that is longer than the narrow sheets and shorter than the wide ones'
    sheet = with_lines(grey(7, width, 90), [line, 'another'])
    wide, font = max(width, LEAST_WIDTH), ImageFont.load_default(size=11)
    assert sheet.shape[1] == wide and (sheet[:7, :width] == 90).all()
    lines = (sheet.shape[0] - 7 - 8) // LINE
    assert lines == 1 + int(np.ceil(font.getlength(line) / (wide - 4)))
    ink = (sheet[7:] < 128).any(2)
    assert all(ink[4 + LINE * number :][:LINE].any() for number in range(lines))
    assert not ink[:, -1].any(), 'text is cut at the border'


def test_a_word_longer_than_the_sheet_is_not_lost():
    sheet = with_lines(grey(7, 20, 90), ['x' * 200, 'y'])
    assert (sheet.shape[0] - 7 - 8) // LINE == 2


def test_a_sheet_has_its_pictures_in_rows():
    one, two = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 9, np.uint8)
    found = placed([[one, two], [two, one]], 2, 2)
    assert found.shape == (10, 12, 3) and (found[:4, 7:] == 9).all() and (found[6:, 7:] == 0).all()
    assert (found[4:6] == 255).all() and (found[:, 5:7] == 255).all()
