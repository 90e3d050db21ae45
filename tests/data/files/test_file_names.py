"""Names that are kept in one block are the names that were given."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.data.files.file_names import FileNames

NAMES = st.lists(st.binary(max_size=20).filter(lambda name: b'\0' not in name).map(os.fsdecode))


@given(NAMES)
def test_it_is_a_sequence_of_the_names(names):
    found = FileNames(names)
    assert list(found) == names and len(found) == len(names)
    assert found[1:3] == names[1:3] and found[::-1] == names[::-1]
    assert [found[index] for index in range(-len(names), 0)] == names


@pytest.mark.parametrize('index', [3, -4])
def test_there_are_no_others(index):
    with pytest.raises(IndexError):
        FileNames(['a', 'é.jpg', 'c'])[index]
