"""The comparison of a config with its recipe, on which the other tests of this folder stand."""

import pytest

from tests.configs.recipes import check_recipe, differences, places

CFG = dict(lr=1e-3, model=dict(vit=dict(arch='base'), head=dict(std=0.01)), steps=[dict(begin=0), dict(begin=5)])


@pytest.mark.parametrize(
    'recipe, lines',
    [
        ({'lr': 1e-3, 'model.vit.arch': 'base', 'model.neck.width': None, 'steps.2': None}, []),
        ({'lr': pytest.approx(1.0001e-3, rel=1e-3)}, []),
        (
            {'lr': 2e-3, 'model.vit.arch': 'large', 'model.neck': 'FPN'},
            [
                'lr: found 0.001, recipe says 0.002',
                "model.vit.arch: found 'base', recipe says 'large'",
                "model.neck: found None, recipe says 'FPN'",
            ],
        ),
        (
            {'model': dict(vit=dict(arch='base', depth=12), head=dict())},
            ['model.vit.depth: found None, recipe says 12', 'model.head.std: found 0.01, recipe says None'],
        ),
        ({'steps': [dict(begin=0), dict(begin=4)]}, ['steps.1.begin: found 5, recipe says 4']),
        ({'steps': [dict(begin=0)]}, ["steps: found [{'begin': 0}, {'begin': 5}], recipe says [{'begin': 0}]"]),
    ],
)
def test_every_differing_setting_has_its_line(recipe, lines):
    assert differences(CFG, recipe) == lines


def test_a_failure_shows_all_lines():
    with pytest.raises(pytest.fail.Exception) as caught:
        check_recipe(CFG, {'lr': 2e-3, 'steps.0.begin': 1})
    assert str(caught.value) == 'lr: found 0.001, recipe says 0.002\nsteps.0.begin: found 0, recipe says 1'


def test_places_are_named_by_their_keys():
    cfg = dict(a='data/x', b=[dict(c='y'), 'more data/'], references=dict(a='data/${root}'))
    assert places(cfg, 'data/') == {'a', 'b.1'}
