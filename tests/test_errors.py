"""How messages list names."""

import pytest

from mae_transfer.errors import shorten


@pytest.mark.parametrize(
    'names, text',
    [([], ''), (['a'], 'a'), (['a', 'b'], 'a, b'), (['a', 'b', 'c'], 'a, b and 1 more'), ('abcde', 'a, b and 3 more')],
)
def test_a_long_list_is_cut_and_counted(names, text):
    assert shorten(names, 2) == text
