"""The command line of a subcommand: settings anywhere, and errors in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mae_transfer.command.parser import Parser, add_settings, typed_settings
from mae_transfer.errors import UserError
from mae_transfer.settings import change_settings, read_config
from tests.tools.commands import CONFIG


def parser(settings: bool = True) -> Parser:
    built = Parser('try', 'A paragraph.', ['mae-transfer try a b'])
    built.add_argument('data')
    built.add_argument('out')
    built.add_argument('--score', type=float)
    built.add_argument('--amp', choices=('bf16', 'off'))
    built.add_argument('--resume', action='store_true')
    if settings:
        add_settings(built)
    return built


OPTIONS = [['--score', '-0.5'], ['--resume'], ['--amp', 'off']]
WORDS = [['a=photos'], ['out'], ['max_epochs=3'], ['model.vit.arch=8x2x2']]


@given(st.permutations(range(7)))
def test_settings_stand_between_options_after_the_other_words(places):
    order = [None] * 7
    for place, option in zip(places, OPTIONS):
        order[place] = option
    rest = iter(WORDS)
    words = [word for part in order for word in (next(rest) if part is None else part)]
    args = parser().parse(words)
    assert (args.data, args.out, args.score, args.resume, args.amp) == ('a=photos', 'out', -0.5, True, 'off')
    assert args.cfg_options == ['max_epochs=3', 'model.vit.arch=8x2x2']


@pytest.mark.parametrize('option', ['--set', '--cfg-options'])
def test_settings_after_an_option_come_before_words(option):
    args = parser().parse(['d', 'o', 'a=1', option, 'b=2', 'c={x: 1}', '--resume', 'd=4'])
    assert args.cfg_options == ['b=2', 'c={x: 1}', 'a=1', 'd=4'] and args.resume


@pytest.mark.parametrize(
    'words, line',
    [
        (['d'], 'the following arguments are required: out'),
        (['d', 'o', 'more'], 'more is one word too many: settings are given as KEY=VALUE'),
        (['d', 'o', 'a', 'b'], 'a b are words too many: settings are given as KEY=VALUE'),
        (['d', 'o', '--scores', '1'], 'there is no option --scores: did you mean --score?'),
        (['d', '--resum'], 'there is no option --resum: did you mean --resume?'),
        (['d', 'o', '--epochs=3'], 'there is no option --epochs'),
        (['d', 'o', '-x'], '-x is one word too many: settings are given as KEY=VALUE'),
        (['d', 'o', '--score', 'much'], "argument --score: invalid float value: 'much'"),
        (['d', 'o', '--amp', 'fp8'], "argument --amp: invalid choice: 'fp8' (choose from "),
    ],
)
def test_what_cannot_be_is_one_line(words, line):
    with pytest.raises(UserError) as caught:
        parser().parse(words)
    assert str(caught.value).startswith(line) and '\n' not in str(caught.value)
    assert str(caught.value).endswith('; mae-transfer try --help says what there is')


def test_a_subcommand_without_settings_takes_none():
    with pytest.raises(UserError, match='^a=1 is one word too many; '):
        parser(settings=False).parse(['d', 'o', 'a=1'])


def test_values_are_read_as_those_of_the_tools():
    words = ['data_root=12', 'max_epochs=20', 'model.vit.arch=32x2x2']
    cfg = read_config(CONFIG)
    one, other = change_settings(cfg, words), change_settings(cfg, [*typed_settings(words).items()])
    assert one.to_dict() == other.to_dict() and one.data_root == '12' and one.max_epochs == 20
    with pytest.raises(UserError, match='give KEY=VALUE'):
        typed_settings(['photos'])
