"""Pictures beside each other."""

import numpy as np
from PIL import Image

from mae_transfer.reporting.panels import scale_of, scaled, side_by_side


def test_pictures_of_two_heights_below_their_titles():
    sheet = side_by_side([Image.new('RGB', (100, 40), 'red'), Image.new('RGB', (80, 60), 'blue')], ('one', 'other'))
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    red, blue = (np.argwhere((sheet == colour).all(2)) for colour in ((255, 0, 0), (0, 0, 255)))
    assert len(red) == 100 * 40 and len(blue) == 80 * 60
    assert red.min(0)[0] == blue.min(0)[0] > 10 and blue.min(0)[1] > red.max(0)[1]


def test_labels_are_not_mixed():
    labels = np.array([[0, 200], [7, 255]], np.int32)
    assert set(np.unique(scaled(labels, 8.5))) == {0, 7, 200, 255}


def test_the_longer_side():
    picture = np.zeros((30, 60, 3), np.uint8)
    assert scaled(picture, scale_of(picture, 120)).shape == (60, 120, 3)
    assert scaled(picture, scale_of(picture, 6)).shape == (3, 6, 3)
    assert scaled(np.zeros((1, 900, 3), np.uint8), 0.1).shape == (1, 90, 3)
