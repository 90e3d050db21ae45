"""Names that are kept in one block are the names that were given."""

import os

import numpy as np
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


@given(NAMES, st.data())
def test_some_of_them_and_without_their_beginnings(names, data):
    found = FileNames(names)
    places = data.draw(st.lists(st.integers(0, len(names) - 1), max_size=8)) if names else []
    assert found.select(places) == [names[place] for place in places]
    encoded = list(map(os.fsencode, names))
    skip = [data.draw(st.integers(0, len(name))) for name in encoded]
    assert found.encoded() == encoded
    assert found.encoded(np.array(skip, np.int64)) == [name[begin:] for name, begin in zip(encoded, skip)]


@given(st.lists(st.tuples(st.text('aé/', max_size=3), NAMES), max_size=4))
def test_several_blocks_are_joined_with_a_text_before_the_names_of_each(parts):
    found = FileNames.joined((before, FileNames(names)) for before, names in parts)
    assert found == [before + name for before, names in parts for name in names]


@pytest.mark.parametrize('index', [3, -4])
def test_there_are_no_others(index):
    with pytest.raises(IndexError):
        FileNames(['a', 'é.jpg', 'c'])[index]
