"""Data sets of several types of values are refused, whatever wraps them."""

from __future__ import annotations

import pytest

from mae_transfer.data import ConcatDataset, Photos, RepeatDataset
from mae_transfer.data.files.same_values import check_same_values
from mae_transfer.errors import UserError
from tests.data.written import npy, tiff, values


@pytest.fixture
def photos(tmp_path):
    def of(dtype: str, bands=(1,)) -> Photos:
        folder = tmp_path / dtype
        folder.mkdir(exist_ok=True)
        for number in range(2):
            (tiff if dtype == 'float32' else npy)(
                folder / f'{number}{".tif" if dtype == "float32" else ".npy"}', values(dtype, 1)
            )
        return Photos(str(folder), img_size=8, hold_out=0.0, bands=bands)

    return of


@pytest.mark.parametrize(
    'wrap',
    [
        lambda one, other: [one, other],
        lambda one, other: [ConcatDataset([one, other])],
        lambda one, other: [RepeatDataset(ConcatDataset([one, other]), 2)],
        lambda one, other: [one, RepeatDataset(other, 2)],
    ],
)
@pytest.mark.parametrize('types', [('uint8', 'uint16'), ('float32', 'uint16'), ('uint16', 'int16')])
def test_several_types_are_refused(types, wrap, photos, tmp_path):
    one, other = map(photos, types)
    with pytest.raises(UserError) as caught:
        check_same_values(wrap(one, other))
    assert str(caught.value) == (
        f'{tmp_path / types[1]} has values of {types[1]}, but {tmp_path / types[0]} has {types[0]}: convert all to one '
        'type and scale'
    )
    check_same_values(wrap(one, photos(types[0])))


def test_what_has_no_reader_is_not_compared(photos):
    check_same_values([object(), photos('uint16'), [1, 2]])
    check_same_values([])
