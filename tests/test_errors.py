"""How messages list names."""

import pytest

from mae_transfer.errors import UserError, in_python, own_line, shorten


@pytest.mark.parametrize(
    'names, text',
    [([], ''), (['a'], 'a'), (['a', 'b'], 'a, b'), (['a', 'b', 'c'], 'a, b and 1 more'), ('abcde', 'a, b and 3 more')],
)
def test_a_long_list_is_cut_and_counted(names, text):
    assert shorten(names, 2) == text


@pytest.mark.parametrize(
    'text',
    [
        'a: b',
        'Caught UserError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File "x.py"\n'
        'mae_transfer.errors.UserError: a: b\n',
    ],
)
def test_the_line_of_an_error_of_a_worker_is_its_own(text):
    assert own_line(UserError(text)) == 'a: b'


@pytest.mark.parametrize(
    'line, told',
    [
        ('a is b: set --cfg-options a=c', 'a is b: set a=c'),
        ('there is one: choose another --work-dir', 'there is one: choose another out'),
        ('no room: make some there, then --resume', 'no room: make some there, then resume=True'),
    ],
)
def test_a_call_in_python_tells_its_own_arguments(line, told):
    assert in_python(line) == told
