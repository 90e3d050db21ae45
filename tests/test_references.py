"""References: what they are worked out from, and what is no reference."""

import pytest

from mae_transfer.errors import UserError
from mae_transfer.references import followed, is_reference, references, resolve


@pytest.mark.parametrize(
    'reference, value',
    [
        ('${sides}', (8, 6)),
        ('${max(sides)}', 8),
        ('${(4 * sides[0], sides[0])}', (32, 8)),
        ('${train.epochs}', 20),
        ("${train['epochs'] // 3}", 6),
        ('${max(1, train.epochs // 80)}', 1),
        ('${model.width}', 192),
        ('${steps[1].end}', 20),
        ('${[2 * side for side in sides]}', [16, 12]),
        ('${norm}', {'type': 'BN', 'eps': 20}),
        ('${root}/train.json', 'data/train.json'),
        ('${root}/${train.epochs}/${sides[0]}.txt', 'data/20/8.txt'),
        ('${join(root, "val", "a.json")}', 'data/val/a.json'),
        ('${join("/elsewhere", "a.json")}', '/elsewhere/a.json'),
        ("${size('small').embed_dim}", 384),
        ('${nothing}', None),
        ('${class_names(names)}', ('cat', 'dog')),
        ('${class_count(names, 80)}', 2),
        ('${class_count(nothing, 80)}', 80),
        (' plain text ', ' plain text '),
        ('{{curly}} $HOME', '{{curly}} $HOME'),
    ],
)
def test_a_reference_has_the_value_of_its_expression(reference, value):
    settings = dict(
        sides=(8, 6),
        root='data',
        epochs=20,
        nothing=None,
        names='cat,dog',
        train=dict(epochs='${epochs}'),
        model=dict(arch='192x5x3', width='${size(model.arch).embed_dim}'),
        norm=dict(type='BN', eps='${epochs}'),
        steps=[dict(end=1), dict(end='${train.epochs}')],
        here=reference,
    )
    before = repr(settings)
    assert resolve(settings)['here'] == value
    assert repr(settings) == before


def test_references_of_several_steps_are_followed_to_the_end():
    settings = dict(a=1, b='${a + 1}', c=dict(d='${b + 1}'), e=['${c.d + 1}', ('${e[0]}',)])
    with pytest.raises(UserError, match='depends on itself'):
        resolve(settings)  # a list is worked out as a whole
    settings['e'] = ['${c.d + 1}', ('${c.d}',)]
    assert resolve(settings) == dict(a=1, b=2, c=dict(d=3), e=[4, (3,)])


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(a='${b}', b='${a}'), "depends on itself, by way of .*'?\\$\\{a\\}|depends on itself"),
        (dict(a='${a}'), 'depends on itself'),
        (dict(max_epochs=1, a='${max_epoch}'), "the config has no 'max_epoch'; did you mean 'max_epochs'"),
        (dict(a='${1 +}'), 'is not a Python expression'),
        (dict(a='${1 / 0}'), 'has no value: division by zero'),
        (dict(b=dict(c=1), a='${b.d}'), "has no value: there is no 'd'"),
        (dict(b=[1], a='x${b}'), 'needs one value of b'),
        (
            dict(roots=['a', 'b'], a='${join(roots, "val.json")}'),
            r'val.json is one file, but the folder for it, data_root, is \[.*\]: set',
        ),
        (dict(size='big', a='${pair(size)}'), r"one whole number or \(height,width\), e.g. 512 .*; found 'big'"),
        (dict(size=(1, 2, 3), a='${pair(size)}'), r'found \(1, 2, 3\)'),
        (dict(size=0, a='${pair(size)}'), 'found 0'),
        (dict(a='${__import__("os")}'), "the config has no '__import__'"),
        (dict(a='${open("x")}'), "the config has no 'open'"),
    ],
)
def test_what_has_no_value_is_refused_in_one_line(settings, words):
    with pytest.raises(UserError, match=words) as caught:
        resolve(settings)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('size', [(64, 96), [64, 96], 64])
def test_a_size_may_be_one_number(size):
    assert resolve(dict(size=size, a='${pair(size)}'))['a'] == ((64, 64) if size == 64 else (64, 96))


def test_references_are_found_by_their_places():
    settings = dict(a='${b}', c=[1, dict(d='x/${e.f}')], g=('${b}',))
    assert references(settings) == {'a': '${b}', 'c.1.d': 'x/${e.f}', 'g.0': '${b}'}
    assert followed(settings) == {'b', 'e'}
    assert is_reference('x/${e.f}') and not any(map(is_reference, ['{e}', '$e', 3, None]))
