"""The picture of a confusion matrix."""

import numpy as np
import pytest
from matplotlib import colormaps

from mae_transfer.visualization import confusion
from mae_transfer.visualization.confusion import confusion_picture

DARK, BRIGHT = (np.array(colormaps['viridis'](end, bytes=True)[:3]) for end in (0, 255))


def names(count: int) -> tuple[str, ...]:
    return tuple(f'class {i}' for i in range(count))


def heat_map(picture: np.ndarray, count: int) -> np.ndarray:
    """The colours of the picture's cells (count, count, 3), each from the pixel in its middle.

    The matrix is found by its saturated colours.
    """
    coloured = (picture.max(-1).astype(int) - picture.min(-1)) > 40
    rows = np.nonzero(coloured.sum(1) > 100)[0]
    columns = np.nonzero(coloured[rows[0] : rows[-1] + 1].mean(0) > 0.9)[0]
    gaps = np.nonzero(np.diff(columns) > 1)[0]
    columns = columns[: gaps[0] + 1]  # right of the gap is the colour bar
    side = rows[-1] - rows[0] + 1
    assert side == len(columns) and side % count == 0
    cell = side // count
    middle = np.arange(count) * cell + cell // 2
    return picture[rows[0] + middle][:, columns[0] + middle]


@pytest.mark.parametrize('count', [2, 5, 60, 61, 1000])
def test_a_diagonal_matrix_is_bright_on_the_diagonal_and_dark_off_it(count):
    picture = confusion_picture(np.diag(np.arange(1, count + 1)), names(count))
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert 400 <= min(picture.shape[:2]) and max(picture.shape[:2]) < 2000
    cells = heat_map(picture, count)
    diagonal = np.eye(count, dtype=bool)
    assert (cells[diagonal] == BRIGHT).all() and (cells[~diagonal] == DARK).all()


def test_rows_are_true_classes_and_cells_are_shares_of_the_row():
    matrix = np.array([[0, 10, 0, 0], [0, 2, 0, 2], [0, 0, 3, 0], [1, 0, 0, 3]])
    cells = heat_map(confusion_picture(matrix, names(4)), 4)
    assert (cells[0, 1] == BRIGHT).all() and (cells[1, 0] == DARK).all() and (cells[2, 2] == BRIGHT).all()
    assert (cells[1, 1] == cells[1, 3]).all() and (cells[1, 1] == colormaps['viridis'](127, bytes=True)[:3]).all()
    brightness = cells.sum(-1, dtype=int)
    assert brightness[0, 0] < brightness[3, 0] < brightness[1, 1] < brightness[3, 3] < brightness[2, 2]


def test_a_class_without_images_is_grey():
    matrix = np.eye(100, dtype=int)
    matrix[40] = 0
    cells = heat_map(confusion_picture(matrix, names(100)), 100)
    assert (cells[40] == 211).all() and (cells[39, 40] == DARK).all()


def test_the_colour_bar_has_the_full_range():
    picture = confusion_picture(np.eye(3, dtype=int), names(3))
    bright, dark = (np.abs(picture.astype(int) - end).sum(-1) < 12 for end in (BRIGHT, DARK))
    bar = np.nonzero(bright.any(0) & dark.any(0))[0][-1]  # right of the map
    top, bottom = np.nonzero(bright[:, bar])[0], np.nonzero(dark[:, bar])[0]
    assert 380 < bottom.min() - top.max() < 400


@pytest.mark.parametrize('count, drawn', [(60, True), (61, False)])
def test_names_are_written_for_at_most_60_classes(count, drawn):
    matrix = np.eye(count, dtype=int)
    short, long = (confusion_picture(matrix, tuple('n' * length + str(i) for i in range(count))) for length in (1, 9))
    assert (short.shape != long.shape) == drawn


@pytest.mark.parametrize('length', [1, 24, 200])
def test_nothing_is_cut_off_at_the_edges(length):
    matrix = np.ones((4, 4), int)
    picture = confusion_picture(matrix, tuple('W' * length for _ in range(4)))
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == 255).all()


@pytest.mark.filterwarnings('error')
def test_names_are_not_parsed_as_formulas():
    picture = confusion_picture(np.eye(2, dtype=int), (r'$\nonsense{$', 'a_b^c$'))  # Matplotlib raises for a formula
    assert picture.dtype == np.uint8 and picture.shape[2] == 3


def test_the_caption_names_the_three_largest_confusions(monkeypatch):
    matrix = np.array([[90, 10, 0, 0], [1, 0, 1, 2], [30, 30, 0, 0], [0, 0, 0, 9]])
    assert confusion._largest_confusions(matrix, ('ant', 'bee', 'cat', 'x' * 30)) == [
        '50.0 % of cat classified as ant (30 of 60)',
        '50.0 % of cat classified as bee (30 of 60)',
        f'50.0 % of bee classified as {"x" * 23}… (2 of 4)',
    ]
    assert confusion._largest_confusions(np.diag([3, 0]), names(2)) == ['no image is classified as another class']
    assert len(confusion._largest_confusions(np.array([[1, 1], [0, 3]]), names(2))) == 1


def test_the_caption_is_drawn_below_the_matrix():
    few, many = (confusion_picture(matrix, names(3)) for matrix in (np.eye(3, dtype=int), np.eye(3, dtype=int) + 1))
    assert many.shape[0] > few.shape[0]  # three lines, not one
    assert (few[-30:] < 100).any()
    assert all((line < 100).any() for line in (many[-66:-44], many[-44:-22], many[-22:]))


def test_pyplot_is_not_used():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    confusion_picture(np.eye(2, dtype=int), names(2))
    assert plt.get_fignums() == before
