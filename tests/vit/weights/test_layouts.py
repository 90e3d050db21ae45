"""Conversion to each layout and back is exact, with the names of each library's own models."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.models.vision_transformer import VisionTransformer
from transformers import ViTMAEConfig, ViTMAEForPreTraining, ViTMAEModel

from mae_transfer.errors import CheckpointError
from mae_transfer.vit.weights.layouts import LAYOUTS, detect_layout, from_canonical, to_canonical
from tests.pretraining.test_mae import small_mae

WITH_DECODER = [name for name in LAYOUTS if name != 'timm']

# Printed by mmpretrain 1.3.6 for MAE(MAEViT, MAEPretrainDecoder) and for ImageClassifier(VisionTransformer,
# 'avg_featmap') of one block each; `@` stands for the names within the block.
MMPRETRAIN_BLOCK = [
    f'{module}.{leaf}'
    for module in ('ln1', 'attn.qkv', 'attn.proj', 'ln2', 'ffn.layers.0.0', 'ffn.layers.1')
    for leaf in ('weight', 'bias')
]
MMPRETRAIN_MAE = """backbone.cls_token backbone.pos_embed backbone.patch_embed.projection.weight
    backbone.patch_embed.projection.bias backbone.layers.0.@ backbone.ln1.weight backbone.ln1.bias neck.mask_token
    neck.decoder_pos_embed neck.decoder_embed.weight neck.decoder_embed.bias neck.decoder_blocks.0.@ neck.ln1.weight
    neck.ln1.bias neck.decoder_pred.weight neck.decoder_pred.bias""".split()

OFFICIAL_BLOCK = [
    f'{module}.{leaf}'
    for module in ('norm1', 'attn.qkv', 'attn.proj', 'norm2', 'mlp.fc1', 'mlp.fc2')
    for leaf in ('weight', 'bias')
]
OFFICIAL_MAE = """cls_token pos_embed mask_token decoder_pos_embed patch_embed.proj.weight patch_embed.proj.bias
    blocks.0.@ norm.weight norm.bias decoder_embed.weight decoder_embed.bias decoder_blocks.0.@ decoder_norm.weight
    decoder_norm.bias decoder_pred.weight decoder_pred.bias""".split()


def expand(names: list[str], block: list[str]) -> set[str]:
    return {name.replace('@', tail) for name in names for tail in (block if '@' in name else [''])}


def canonical_mae(seed: int = 0, depth: int = 2, decoder_depth: int = 1, dtype=torch.float32) -> tuple[dict, dict]:
    """Encoder and decoder of a small MAE of ours with random weights."""
    torch.manual_seed(seed)
    model = small_mae(vit=dict(arch=dict(embed_dim=32, depth=depth, num_heads=2)), decoder=dict(depth=decoder_depth))
    state = {name: torch.randn_like(value).to(dtype) for name, value in model.state_dict().items()}
    encoder, decoder, head, other = to_canonical(state)
    assert not head and not other
    return encoder, decoder


def hf_config() -> ViTMAEConfig:
    return ViTMAEConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        image_size=32,
        patch_size=8,
        decoder_hidden_size=24,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=96,
        layer_norm_eps=1e-6,
        norm_pix_loss=True,
    )


def assert_same(found: dict, expected: dict) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and torch.equal(found[name], value), name


@pytest.mark.parametrize('with_decoder', [True, False])
@pytest.mark.parametrize('layout', LAYOUTS)
@settings(max_examples=5, deadline=None)
@given(
    seed=st.integers(0, 99),
    depth=st.integers(1, 12),
    decoder_depth=st.integers(1, 3),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_round_trip_is_exact(layout, with_decoder, seed, depth, decoder_depth, dtype):
    encoder, decoder = canonical_mae(seed, depth, decoder_depth, dtype)
    decoder = decoder if with_decoder and layout in WITH_DECODER else None
    state = from_canonical(encoder, decoder, layout)
    # The official code and timm have the same names for an encoder without decoder.
    assert detect_layout(state) == ('timm' if layout == 'official' and decoder is None else layout)
    back, back_decoder, head, other = to_canonical(state)
    assert_same(back, encoder)
    assert (back_decoder is None) == (decoder is None)
    assert_same(back_decoder or {}, decoder or {})
    assert not head and not other


@pytest.mark.parametrize('first', WITH_DECODER)
@pytest.mark.parametrize('second', WITH_DECODER)
def test_from_any_layout_to_any_other(first, second):
    encoder, decoder = canonical_mae()
    one = from_canonical(encoder, decoder, first)
    other = from_canonical(*to_canonical(one)[:2], second)
    assert_same(other, from_canonical(encoder, decoder, second))


@pytest.mark.parametrize(
    ('layout', 'names', 'block'),
    [('mmpretrain', MMPRETRAIN_MAE, MMPRETRAIN_BLOCK), ('official', OFFICIAL_MAE, OFFICIAL_BLOCK)],
)
def test_names_of_other_projects(layout, names, block):
    state = from_canonical(*canonical_mae(depth=1), layout)
    assert set(state) == expand(names, block)


def test_names_of_timm():
    encoder, _ = canonical_mae()
    model = VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=0)
    assert_same(from_canonical(encoder, None, 'timm'), encoder)
    assert {n: v.shape for n, v in model.state_dict().items()} == {n: v.shape for n, v in encoder.items()}


def test_names_of_transformers_in_memory():
    model = ViTMAEForPreTraining(hf_config())
    encoder, decoder, head, other = to_canonical(model.state_dict())
    expected_encoder, expected_decoder = canonical_mae()
    assert {n: v.shape for n, v in encoder.items()} == {n: v.shape for n, v in expected_encoder.items()}
    assert {n: v.shape for n, v in decoder.items()} == {n: v.shape for n, v in expected_decoder.items()}
    assert not head and not other
    bare = to_canonical(ViTMAEModel(hf_config()).state_dict())
    assert set(bare[0]) == set(expected_encoder) and bare[1] is None


@pytest.mark.parametrize('wrapper', ['module.', '_orig_mod.', 'module._orig_mod.'])
def test_prefixes_of_wrappers_are_removed(wrapper):
    encoder, decoder = canonical_mae()
    state = {wrapper + name: value for name, value in from_canonical(encoder, decoder, 'official').items()}
    assert_same(to_canonical(state)[0], encoder)


def test_the_backbone_of_a_detector_is_found_and_other_weights_are_listed():
    encoder, _ = canonical_mae()
    state = {f'backbone.{name}': value for name, value in encoder.items()}
    state |= {
        'neck.lateral.weight': torch.ones(1),
        'bbox_head.fc.bias': torch.ones(1),
        'head.weight': torch.ones(2, 32),
    }
    found, decoder, head, other = to_canonical(state)
    assert_same(found, encoder)
    assert decoder is None and set(head) == {'head.weight'} and other == ['neck.lateral.weight', 'bbox_head.fc.bias']


@pytest.mark.parametrize('layout', LAYOUTS)
def test_classification_heads(layout):
    encoder, _ = canonical_mae()
    head = {'head.weight': torch.randn(3, 32), 'head.bias': torch.randn(3)}
    if layout != 'hf':
        head |= {'fc_norm.weight': torch.randn(32), 'fc_norm.bias': torch.randn(32)}
    state = from_canonical(encoder, None, layout, head)
    assert_same(to_canonical(state)[2], head)
    if layout == 'mmpretrain':
        assert {'backbone.ln2.weight', 'backbone.ln2.bias', 'head.layers.head.weight', 'head.layers.head.bias'} < set(
            state
        )


def test_mmpretrain_backbone_without_its_prefix():
    encoder, _ = canonical_mae()
    state = {
        name.removeprefix('backbone.'): value for name, value in from_canonical(encoder, None, 'mmpretrain').items()
    }
    assert detect_layout(state) == 'mmpretrain'
    assert_same(to_canonical(state)[0], encoder)


def test_the_error_for_an_unknown_layout_lists_names_and_known_layouts():
    with pytest.raises(CheckpointError, match=r'conv1\.weight.*6 in all.*official.*mmpretrain.*hf'):
        detect_layout({f'conv{i}.weight': torch.ones(1) for i in range(1, 7)})
    with pytest.raises(CheckpointError, match='found names nothing'):
        to_canonical({})
    with pytest.raises(CheckpointError, match="unknown layout 'beit'"):
        from_canonical({}, None, 'beit')


def test_a_parameter_that_a_layout_cannot_store_is_not_dropped():
    encoder, decoder = canonical_mae()
    normed = encoder | {'blocks.0.attn.q_norm.weight': torch.ones(16)}
    for layout in ('mmpretrain', 'hf', 'official'):
        with pytest.raises(
            CheckpointError, match=re.escape("cannot store 'blocks.0.attn.q_norm.weight' of the encoder")
        ):
            from_canonical(normed, None, layout)
    with pytest.raises(CheckpointError, match='timm cannot store a decoder'):
        from_canonical(encoder, decoder, 'timm')
    # In the other direction it stays in the encoder, so that loading fails.
    state = from_canonical(encoder, None, 'mmpretrain') | {'backbone.layers.0.attn.gamma1.weight': torch.ones(32)}
    assert 'blocks.0.attn.gamma1.weight' in to_canonical(state)[0]


def test_a_query_without_key_is_an_error():
    state = from_canonical(canonical_mae()[0], None, 'hf')
    del state['vit.encoder.layer.1.attention.attention.key.bias']
    with pytest.raises(CheckpointError, match='query, key and value come together'):
        to_canonical(state)


def test_two_names_for_one_parameter_are_an_error():
    state = from_canonical(canonical_mae()[0], None, 'hf')
    state['vit.layers.0.mlp.fc1.bias'] = state['vit.encoder.layer.0.intermediate.dense.bias']
    with pytest.raises(CheckpointError, match="'blocks.0.mlp.fc1.bias'.*'vit.layers.0.mlp.fc1.bias' is the second"):
        to_canonical(state)
