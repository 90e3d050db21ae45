"""What the text of ``--cfg-options KEY=VALUE`` means."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.errors import UserError
from mae_transfer.options import parse_value, split_option


@pytest.mark.parametrize(
    'text, value',
    [
        ('8', 8),
        ('.5', 0.5),
        ('1e-4', 1e-4),
        ('-1', -1),
        ('True', True),
        ('None', None),
        ('none', 'none'),
        ('large', 'large'),
        ('192x5x3', '192x5x3'),
        ("'large'", 'large'),
        ('"a b"', 'a b'),
        ('my photos/here', 'my photos/here'),
        ('(512,512)', (512, 512)),
        ('[3, 4]', [3, 4]),
        ('3,4', [3, 4]),
        ('.5,1.,1.5', [0.5, 1.0, 1.5]),
        ('dog,traffic light', ['dog', 'traffic light']),
        ("dog,'traffic light'", ['dog', 'traffic light']),
        ('dog,', ['dog']),
        ('[dog,traffic light]', ['dog', 'traffic light']),
        ('(a/b.txt,c)', ('a/b.txt', 'c')),
        ("{'type': 'LN', 'eps': 1e-6}", {'type': 'LN', 'eps': 1e-6}),
        ('{type: LN, eps: 1e-6, sizes: [1, 2]}', {'type': 'LN', 'eps': 1e-6, 'sizes': [1, 2]}),
        ('[{type: Resize}, {type: Pad, size: (2,3)}]', [{'type': 'Resize'}, {'type': 'Pad', 'size': (2, 3)}]),
        ('[]', []),
        ('${max_epochs}', '${max_epochs}'),
        ('08', '08'),
    ],
)
def test_a_text_has_the_value_that_it_reads_as(text, value):
    assert parse_value(text) == value and type(parse_value(text)) is type(value)


@pytest.mark.parametrize('text, value', [('2024', '2024'), ('1e5', '1e5'), ('True', 'True'), ("'a b'", 'a b')])
def test_text_stays_text_where_there_was_text(text, value):
    assert parse_value(text, old='data/imagenet') == value


@pytest.mark.parametrize('text, value', [('None', None), ('[a,b]', ['a', 'b']), ('{a: 1}', {'a': 1})])
def test_nothing_lists_and_dictionaries_take_the_place_of_text(text, value):
    assert parse_value(text, old='data/imagenet') == value


@settings(deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text('ab c_/'),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text('abc', min_size=1), inner),
        max_leaves=6,
    ).filter(lambda value: not isinstance(value, str))
)
def test_what_python_prints_is_read_back(value):
    assert parse_value(repr(value)) == value == ast.literal_eval(repr(value))


@pytest.mark.parametrize('text', ['[1,2', "{'depth'", '(1,2]', '{a: 1', "['a]"])
def test_brackets_that_do_not_match_are_refused(text):
    with pytest.raises(UserError, match='the brackets or quotes of .* do not match') as caught:
        parse_value(text)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    'option, words', [('max_epochs', 'give KEY=VALUE'), ('=3', 'give KEY=VALUE'), ('data_root=', 'the value is empty')]
)
def test_an_option_is_a_key_and_a_value(option, words):
    with pytest.raises(UserError, match=words):
        split_option(option)


def test_a_value_may_hold_equals_signs():
    assert split_option('a.b=c=d') == ('a.b', 'c=d')
