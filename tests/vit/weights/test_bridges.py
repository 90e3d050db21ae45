"""What a checkpoint and a model may differ in: bridged with the same outputs and said, or refused in one line."""

from __future__ import annotations

import re

import pytest
import torch

from mae_transfer.benchmarks.equality_transformers import transformers_starts
from mae_transfer.errors import CheckpointError
from mae_transfer.vit import ViT
from mae_transfer.vit.weights.checkpoint import load_vit
from mae_transfer.vit.weights.shown_design import design_of
from tests.vit.weights.test_checkpoint import copy_of, randomize, small_vit, unchanged

IMAGES = torch.linspace(-2, 2, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32).sin()


def load(theirs: dict, ours: dict):
    """Load a ViT of random weights with the settings ``theirs`` into one of ``ours``: both, and the report."""
    source, target = randomize(small_vit(**theirs)).eval(), randomize(small_vit(**ours), seed=1).eval()
    report = load_vit(target, {f'vit.{name}': value for name, value in source.state_dict().items()})
    return source, target, report


@pytest.mark.parametrize(
    'theirs, ours, note',
    [
        (dict(design='deit3'), {}, 'layer scale: multiplied into the layers before it, the model has none'),
        ({}, dict(design='deit3'), 'layer scale: set to one, the checkpoint has none'),
        (dict(design=dict(qkv_bias='qv')), {}, 'bias of keys: zero, the checkpoint has none'),
        (dict(design=dict(qkv_bias='')), {}, 'bias of queries, keys and values: zero, the checkpoint has none'),
        (
            dict(design=dict(qkv_bias='')),
            dict(design=dict(qkv_bias='qv')),
            'bias of queries and values: zero, the checkpoint has none',
        ),
        (dict(design=dict(patch_bias=False)), {}, 'bias of the patch embedding: zero, the checkpoint has none'),
        (
            dict(rel_pos='shared'),
            dict(rel_pos='table'),
            'relative positions: the table that all blocks share, copied into each of 2',
        ),
        (
            dict(design=dict(mlp='swiglu', layer_scale=1e-5, qkv_bias='qv')),
            dict(design=dict(mlp='swiglu')),
            'layer scale: multiplied into the layers before it, the model has none',
        ),
    ],
)
def test_what_computes_the_same_is_bridged_and_said(theirs, ours, note):
    source, target, report = load(theirs, ours)
    torch.testing.assert_close(target.tokens(IMAGES), source.tokens(IMAGES), rtol=1e-5, atol=1e-5)
    assert note in report.bridged and note in str(report) and not report.missing


@pytest.mark.parametrize('wanted, name', [('qv', 'attn.qkv.bias'), ('', 'attn.qkv.bias')])
def test_biases_that_are_zero_are_left_out_and_others_refused(wanted, name):
    source, target = randomize(small_vit()), small_vit(design=dict(qkv_bias=wanted))
    before = copy_of(target)
    with pytest.raises(CheckpointError, match=rf"'blocks.0.{name}'.* zero.*choose design=dict\(qkv_bias='qkv'\)"):
        load_vit(target, source.state_dict())
    assert unchanged(target, before)
    with torch.no_grad():
        for block in source.blocks:
            query, key, value = block.attn.qkv.bias.chunk(3)
            (key if wanted else block.attn.qkv.bias).zero_()
    report = load_vit(target, source.state_dict())
    assert not report.missing and not report.unexpected and len(report.bridged) == 1
    torch.testing.assert_close(target.eval().tokens(IMAGES), source.eval().tokens(IMAGES), rtol=1e-5, atol=1e-5)


def test_a_bias_of_the_patch_embedding_is_not_dropped():
    target = small_vit(design=dict(patch_bias=False))
    with pytest.raises(CheckpointError, match=r"'patch_embed.proj.bias'.*choose design=dict\(patch_bias=True\)"):
        load_vit(target, randomize(small_vit()).state_dict())


@pytest.mark.parametrize(
    'theirs, ours, message',
    [
        (
            dict(registers=4),
            {},
            r'the checkpoint has 4 registers; the model no registers: '
            r'set the init of these weights, or choose design=dict\(regi',
        ),
        (
            {},
            dict(registers=1),
            r'the checkpoint has no registers; the model 1 register: '
            r"set the init of these weights, or choose design='plain'",
        ),
        (dict(registers=2), dict(registers=4), r'has 2 registers; the model 4 registers: .*registers=2\)'),
        (
            dict(mlp='swiglu'),
            {},
            r'has a gated MLP; the model no gated MLP: '
            r"set the init of these weights, or choose design=dict\(mlp='swiglu'\)",
        ),
        (
            {},
            dict(mlp='swiglu', registers=0),
            "has no gated MLP; the model a gated MLP: set the init of these weights, or choose design='plain'",
        ),
        (
            dict(qk_norm=True),
            dict(mlp='quick_gelu'),
            r"norms of queries and keys; .*dict\(qk_norm=True, mlp='quick_gelu'",
        ),
        (
            dict(attention_norm=True, mlp_norm=True),
            {},
            'a norm in attention, a norm in the MLP; the model no norm in att',
        ),
        (dict(pre_norm=True), {}, r'choose design=dict\(pre_norm=True\)'),
        (dict(absolute_positions=False), {}, r'choose design=dict\(absolute_positions=False\)'),
        (
            {},
            dict(absolute_positions=False),
            'has absolute positions; the model no absolute positions: '
            "set the init of these weights, or choose design='pl",
        ),
    ],
)
def test_what_cannot_be_bridged_names_the_difference_and_the_setting(theirs, ours, message):
    source, target = randomize(small_vit(design=theirs)), small_vit(design=ours)
    before = copy_of(target)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_vit(target, source.state_dict())
    assert unchanged(target, before) and '\n' not in str(caught.value)


def test_the_advice_is_a_setting_that_loads():
    source = randomize(small_vit(design=dict(registers=3, mlp='swiglu', qk_norm=True, absolute_positions=False)))
    with pytest.raises(CheckpointError) as caught:
        load_vit(small_vit(), source.state_dict())
    setting = str(caught.value).rpartition('design=')[2]
    assert not load_vit(small_vit(design=eval(setting)), source.state_dict()).missing


@pytest.mark.parametrize('table', ['no class row', 'rows for registers'])
def test_positions_with_other_rows_in_front(table):
    """timm's ``no_embed_class``; and timm's ViT with registers that have positions."""
    source = randomize(small_vit(design=dict(registers=3))).eval()
    state = copy_of(source)
    if table == 'no class row':
        state['cls_token'] = state['cls_token'] + state['pos_embed'][:, :1]
        state['pos_embed'] = state['pos_embed'][:, 1:]
    else:
        rows = torch.ones(1, 3, 32)
        state['reg_token'] = state['reg_token'] - rows
        state['pos_embed'] = torch.cat([state['pos_embed'][:, :1], rows, state['pos_embed'][:, 1:]], dim=1)
    target = small_vit(design=dict(registers=3)).eval()
    report = load_vit(target, state)
    assert report.bridged[0].startswith('pos_embed: ') and not report.resized
    torch.testing.assert_close(target.tokens(IMAGES), source.tokens(IMAGES), rtol=1e-5, atol=1e-5)


def test_positions_with_a_class_row_stay():
    """24 patches and a class token are as many rows as 25 patches: a sin-cos table, or a stated grid, decides."""
    vit = ViT(dict(embed_dim=32, depth=2, num_heads=2), img_size=(32, 48), patch_size=8)
    assert not load_vit(small_vit(img_size=40), vit.state_dict()).bridged
    state = copy_of(randomize(vit))
    assert not load_vit(small_vit(img_size=40), state, source_grid=(4, 6)).bridged


@pytest.mark.parametrize('name, advice', [('DINOv3', "'dinov3'"), ('DINOv3, 7B', "dict(like='dinov3', mlp='swiglu')")])
@pytest.mark.parametrize('design', [None, dict(like='dinov3', rotary=None), dict(like='dinov3', rotary='eva02')])
def test_a_layout_of_one_kind_of_models_fixes_what_no_name_shows(name, advice, design):
    start = next(s for s in transformers_starts() if s.name == name)
    state = start.model((32, 32)).state_dict()
    vit = ViT(start.our_vit((32, 32)).size, patch_size=8, design=design)
    with pytest.raises(CheckpointError, match=rf'choose design={re.escape(advice)}$') as caught:
        load_vit(vit, state)
    rotary = "rotary='dinov3' (all of layout hf_dinov3)"
    assert rotary in str(caught.value)


def test_what_names_show_of_a_design():
    shown = design_of(small_vit(design=dict(like='dinov3', mlp='swiglu')).state_dict())
    assert shown == dict(
        registers=4,
        absolute_positions=False,
        patch_bias=True,
        pre_norm=False,
        qkv_bias='qv',
        qk_norm=False,
        attention_norm=False,
        gated=True,
        mlp_norm=False,
        layer_scale=True,
    )
    assert design_of(small_vit(design='clip').state_dict())['pre_norm']


def test_registers_are_left_out_where_the_class_token_is():
    source = ViT('16x4x2', img_size=16, patch_size=8, design='dinov3')
    windowed = ViT(
        '16x4x2', img_size=16, patch_size=8, design=dict(like='dinov3', registers=0), class_token=False, window_size=2
    )
    report = load_vit(windowed, source.state_dict())
    assert 'registers: 4 left out, as the class token is' in report.bridged and not report.missing
    with pytest.raises(CheckpointError, match='the checkpoint has 4 registers; the model no registers'):
        load_vit(ViT('16x4x2', img_size=16, patch_size=8, design=dict(like='dinov3', registers=0)), source.state_dict())
