"""Depth and learning-rate factor of a parameter. tests/optim compares real parameter groups with the official ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mae_transfer.vit.depth import layer_scale, parameter_depth
from tests.helpers import small_vit


@pytest.mark.parametrize(
    'name, depth',
    [
        ('cls_token', 0),
        ('pos_embed', 0),
        ('patch_embed.proj.weight', 0),
        ('patch_embed.proj.bias', 0),
        ('blocks.0.norm1.weight', 1),
        ('blocks.9.attn.qkv.weight', 10),
        ('blocks.10.mlp.fc1.bias', 11),
        ('blocks.11.norm2.bias', 12),
        ('blocks.2.attn.rel_pos_h', 3),
        ('blocks.11.attn.relative_position_bias_table', 12),
        ('rel_pos_window', 13),
        ('rel_pos_global', 13),
        ('norm.weight', 13),
        ('fc_norm.weight', 13),
        ('head.bias', 13),
        ('neck.blocks.0.weight', 13),
        ('blocks_extra.3.weight', 13),
    ],
)
def test_depth_of_a_parameter(name, depth):
    assert parameter_depth(name, 12) == depth


@pytest.mark.parametrize(
    'name, power', [('pos_embed', 13), ('blocks.0.norm1.weight', 12), ('blocks.11.norm1.weight', 1), ('norm.bias', 0)]
)
def test_the_factor_is_the_decay_to_the_power_of_the_distance_from_the_head(name, power):
    assert layer_scale(name, 12, 0.65) == pytest.approx(0.65**power, rel=1e-12)


def test_a_decay_of_one_changes_nothing():
    assert layer_scale('cls_token', 24, 1.0) == 1


@settings(deadline=None, max_examples=25, derandomize=True)
@given(depth=st.integers(1, 30), decay=st.floats(0.3, 1), place=st.data())
def test_each_layer_s_rate_is_the_next_one_s_times_the_decay(depth, decay, place):
    names = [name for name, _ in small_vit(depth).named_parameters()]
    found = [parameter_depth(name, depth) for name in names]
    assert set(found) == set(range(depth + 2))
    block = place.draw(st.integers(0, depth - 1))
    assert {parameter_depth(name, depth) for name in names if name.startswith(f'blocks.{block}.')} == {block + 1}
    for name in names:
        here = parameter_depth(name, depth)
        later = 'norm.weight' if here >= depth else f'blocks.{here}.norm1.weight'
        wanted = 1.0 if here == depth + 1 else decay * layer_scale(later, depth, decay)
        assert layer_scale(name, depth, decay) == pytest.approx(wanted, rel=1e-9)
