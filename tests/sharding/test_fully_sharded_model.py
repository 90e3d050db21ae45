"""A model divided among processes trains as a whole one: two to four processes next to one with all images.

To print the figures: pytest tests/sharding/test_fully_sharded_model.py -s
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes import run_together


@pytest.fixture(scope='module', params=[2, *(pytest.param(count, marks=pytest.mark.slow) for count in (3, 4))])
def found(request, tmp_path_factory):
    """What each process found; four divide the model in two groups, which have copies."""
    return run_together(
        Path(__file__).with_name('sharded_steps.py'), request.param, tmp_path_factory.mktemp('found'), 300
    )


def test_names_and_shapes_stay_and_each_process_holds_its_share(found):
    for own in (one['names'] for one in found):
        assert own['names'] and own['shapes'] and own['values'] and own['groups']
    held = [one['names']['held'] for one in found]
    print(f'\nparameters held by each process: {held}, of {found[0]["names"]["all"]}')
    copies = 2 if len(found) == 4 else 1
    assert sum(held) == copies * found[0]['names']['all'] and max(held) < 1.2 * sum(held) / len(held)


@pytest.mark.parametrize('name', ['plain', 'clipped', 'clipped by value', 'accumulated'])
def test_steps_are_those_of_one_process(found, name):
    first = found[0]['steps'][name]
    print(f'\n{name}: weights moved by {first["moved"]:.1e}, differ by {first["difference"]:.1e}')
    for own in (one['steps'][name] for one in found):
        assert own['norms'] == first['norms']
        assert own['norms'] == pytest.approx(first['expected'], rel=1e-5)
        assert own['difference'] < 1e-6 < 1e-3 < own['moved']


def test_gradients_are_averaged_only_in_the_last_accumulated_pass(found):
    for own in (one['communication'] for one in found):
        assert not any('reduce_scatter' in call for call in own['first'])
        assert any('reduce_scatter' in call for call in own['second']), own


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_a_step_that_is_not_finite_on_one_process_is_left_out_by_all(found, dtype):
    for own in (one['skipped'][dtype] for one in found):
        assert own == {
            'is_skipped': True,
            'unchanged': True,
            'scale': 64.0 if dtype == 'float16' else 1.0,
            'goes on': True,
        }


def test_activations_that_are_computed_again_change_nothing(found):
    assert all(one['checkpointed']['same'] for one in found)


def test_blocks_are_gathered_in_the_type_of_autocast_and_the_rest_stays_float32(found):
    own = found[0]['low_precision']
    assert own['seen'] == ['out torch.float32', 'torch.bfloat16'] and own['gradients'] == ['torch.float32']
    norms = own['norms']
    print('\nnorms of the gradients', {name: [round(norm, 5) for norm in values] for name, values in norms.items()})
    assert norms['bfloat16'] == pytest.approx(norms['autocast'], rel=0.02)
    assert norms['float16'] == pytest.approx(norms['float32'], rel=0.02)
    assert own['evaluated'][0] == pytest.approx(own['evaluated'][1], rel=0.05) and own['pictures'] < 0.2
    assert norms['bfloat16'] != norms['float32'] and norms['autocast'] == pytest.approx(norms['float32'], rel=0.02)


def test_states_are_those_that_one_process_writes_and_reads(found):
    for own in (one['states'] for one in found):
        assert own['forms'] and own['goes_on'] and own['difference'] < 1e-6
        assert all(stored == needed for stored, needed in own['own_bytes'])  # no view of a whole tensor


def test_a_part_of_the_model_loads_whole_tensors(found):
    for own in (one['parts'] for one in found):
        assert own['loaded'] and 'size mismatch for cls_token' in own['error']


def test_a_number_that_is_not_finite_is_seen_by_all(found):
    assert all(one['finite'] == dict(before=True, after=False) for one in found)


def test_what_cannot_be_divided_is_refused(found):
    own = found[0]['refused']
    assert own['dtype'] == "model_wrapper_cfg.param_dtype is one of float32, bfloat16, float16; found 'fp16'"
    assert own['other dtype'].startswith('model_wrapper_cfg.param_dtype is torch.bfloat16, and optim_wrapper.dtype')
    assert own['group'] == (
        'model_wrapper_cfg.group is a number of processes that divides all 2, or None; found 5'
    ).replace('2', str(len(found)))
    assert own['blocks'].startswith('FullyShardedModel divides the blocks of a ViT, and Linear has none: choose')
    assert own['features'].startswith('features are computed by a whole model in each process: set')
    assert own['ema'].startswith('averaged weights are a copy of the whole model') and 'ema=None' in own['ema']
