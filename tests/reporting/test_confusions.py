"""The confusion matrix in a report: as a picture, as a table, or as both."""

import numpy as np
import pytest

from mae_transfer.reporting.confusions import confusion_parts
from mae_transfer.reporting.sections import Picture, Table


@pytest.mark.parametrize('count, kinds', [(3, [Picture]), (31, [Picture, Table]), (61, [Table])])
def test_many_classes_are_listed(count, kinds):
    confusion = np.eye(count, dtype=np.int64) * 6
    confusion[2, 0] = 2
    confusion[1, 2] = 4
    parts = confusion_parts(confusion, [f'c{label}' for label in range(count)], 'images')
    assert [type(part) for part in parts] == kinds
    for table in (part for part in parts if isinstance(part, Table)):
        assert table.rows == (('c1', 'c2', 4, 40.0), ('c2', 'c0', 2, 25.0))
        assert table.columns[2:] == ('images', '% of the images of the true class')
    for picture in (part for part in parts if isinstance(part, Picture)):
        assert picture.image.dtype == np.uint8 and picture.image.shape[2] == 3


def test_classes_that_do_not_occur_are_left_out():
    confusion = np.zeros((90, 90), np.int64)
    confusion[5, 7] = confusion[5, 5] = 1
    (picture,) = confusion_parts(confusion, [f'c{label}' for label in range(90)], 'images')
    alone = confusion_parts(confusion[5:8:2, 5:8:2], ['c5', 'c7'], 'images')[0]
    assert np.array_equal(picture.image, alone.image)
    assert confusion_parts(np.zeros((3, 3), np.int64), ['a', 'b', 'c'], 'images') == ()
