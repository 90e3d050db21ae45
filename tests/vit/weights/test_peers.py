"""What surrounds other projects' ViTs in their files: prefixes, heads, towers for text, tokens for pre-training."""

from __future__ import annotations

import pytest
import torch
import transformers

from mae_transfer.errors import CheckpointError
from mae_transfer.vit import ViT
from mae_transfer.vit.weights.checkpoint import load_vit, read_weights
from mae_transfer.vit.weights.layouts import LAYOUTS, detect_layout, from_canonical
from mae_transfer.vit.weights.peers import PEERS
from tests.vit.weights.test_checkpoint import SMALL, randomize, small_vit

SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
VISION = dict(SIZES, image_size=32, patch_size=8)
TEXT = dict(SIZES, vocab_size=16, max_position_embeddings=8)


def contrastive(config: type, model: type) -> dict:
    return model(config(text_config=TEXT, vision_config=VISION)).state_dict()


def other_model(name: str) -> dict:
    """The state dict of a whole model of transformers', which holds more than a ViT."""
    if name == 'CLIPModel':
        return contrastive(transformers.CLIPConfig, transformers.CLIPModel)
    if name == 'SiglipModel':
        return contrastive(transformers.SiglipConfig, transformers.SiglipModel)
    config = getattr(transformers, name.partition('For')[0].removesuffix('Model').removesuffix('Backbone') + 'Config')
    extra = dict(use_relative_position_bias=True) if name.startswith('Beit') else {}
    return getattr(transformers, name)(config(**VISION, **extra)).state_dict()


@pytest.mark.parametrize(
    'name, layout, head',
    [
        ('CLIPModel', 'hf_clip', []),
        ('CLIPVisionModel', 'hf_clip', []),
        ('SiglipModel', 'hf_siglip', []),
        ('Dinov2ForImageClassification', 'hf_dinov2', []),
        ('Dinov2Backbone', 'hf_dinov2', []),
        ('DINOv3ViTModel', 'hf_dinov3', []),
        ('DINOv3ViTBackbone', 'hf_dinov3', []),
        ('BeitForImageClassification', 'hf_beit', ['fc_norm.bias', 'fc_norm.weight', 'head.bias', 'head.weight']),
        ('ViTMSNModel', 'hf', []),
    ],
)
@pytest.mark.parametrize('prefix', ['', 'model.student.'])
def test_only_the_vit_is_taken(name, layout, head, prefix):
    state = {prefix + key: value for key, value in randomize_state(other_model(name)).items()}
    weights = read_weights(state)
    assert weights.layout == layout and sorted(weights.head) == head
    known = ('cls_token', 'reg_token', 'pos_embed', 'patch_embed', 'norm', 'norm_pre', 'blocks')
    assert {key.partition('.')[0] for key in weights.encoder} <= set(known)
    assert len(weights.encoder) >= 2 * 12 and {key.split('.')[1] for key in weights.encoder if 'blocks' in key} == {
        '0',
        '1',
    }
    blocks = [key for key in weights.other if '.layer' in key and 'text' not in key]
    assert not [key for key in blocks if 'head' not in key and 'layernorm' not in key]


def randomize_state(state: dict) -> dict:
    return {name: torch.randn(value.shape) if value.is_floating_point() else value for name, value in state.items()}


def test_transformers_deit_is_refused_by_the_name_of_its_token():
    with pytest.raises(CheckpointError, match='distillation token'):
        load_vit(ViT(dict(SMALL, mlp_ratio=2), img_size=32, patch_size=8), other_model('DeiTModel'))


@pytest.mark.parametrize('design', [None, 'deit3', 'beit', 'eva02', 'dinov2', 'dinov3', 'clip', 'siglip'])
@pytest.mark.parametrize('how', ['bare', 'vit.', 'backbone.'])
def test_our_own_files_of_any_design_are_ours(design, how):
    """Their names are timm's VisionTransformer's, which none of the other projects shares in full."""
    vit = randomize(small_vit(design=design, rel_pos='table' if design == 'beit' else None))
    state = {how.replace('bare', '') + name: value for name, value in vit.state_dict().items()}
    assert detect_layout(state) == ('timm' if how == 'bare' else 'mae_transfer')
    back = small_vit(design=design, rel_pos='table' if design == 'beit' else None)
    report = load_vit(back, state)
    assert not report.bridged and not report.missing
    assert all(torch.equal(value, vit.state_dict()[name]) for name, value in back.state_dict().items())


@pytest.mark.parametrize('layout', PEERS)
def test_what_a_project_has_no_place_for_is_refused(layout):
    with pytest.raises(CheckpointError, match=rf"layout {layout} cannot store 'unknown' of the encoder"):
        from_canonical({'unknown': torch.ones(1)}, None, layout)
    with pytest.raises(CheckpointError, match=f'layout {layout} cannot store a decoder'):
        from_canonical(small_vit().state_dict(), {'norm.weight': torch.ones(4)}, layout)


@pytest.mark.parametrize('layout', ['hf_clip', 'openai_clip', 'official', 'hf', 'mmpretrain'])
def test_layer_scale_is_multiplied_in_where_a_project_has_none(layout):
    design = dict(like='dinov2', patch_bias=False, pre_norm='clip' in layout)
    if 'clip' not in layout:
        design['patch_bias'] = True
    vit = randomize(small_vit(design=design)).eval()
    back = small_vit(design=dict(design, layer_scale=None)).eval()
    state = from_canonical(vit.state_dict(), None, layout)
    assert not load_vit(back, state).bridged or layout == 'openai_clip'
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(back.tokens(images), vit.tokens(images), rtol=1e-5, atol=1e-5)


def test_no_layout_has_the_name_of_another():
    assert not set(PEERS) & set(LAYOUTS)
