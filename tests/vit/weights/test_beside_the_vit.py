"""What lies beside a ViT in a file is other, whatever its name; what belongs to the ViT is not dropped."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from transformers import ViTConfig, ViTForImageClassification, ViTForMaskedImageModeling

from mae_transfer.errors import CheckpointError
from mae_transfer.vit.weights.checkpoint import load_vit, read_weights
from mae_transfer.vit.weights.head import fold_head_norm
from mae_transfer.vit.weights.layouts import LAYOUTS, from_canonical, to_canonical
from tests.vit.weights.test_checkpoint import SMALL, randomize, small_vit, unchanged

BESIDE = {
    'fc': {'fc.weight': torch.ones(5, 32), 'fc.bias': torch.ones(5)},
    'classifier': {'classifier.weight': torch.ones(5, 32), 'classifier.bias': torch.ones(5)},
    'MLP head': {
        'head.fc1.weight': torch.ones(32, 32),
        'head.fc1.bias': torch.ones(32),
        'head.norm.weight': torch.ones(32),
    },
    'head of layers': {'head.0.weight': torch.ones(32), 'head.2.weight': torch.ones(5, 32)},
    'pre_logits': {'pre_logits.fc.weight': torch.ones(32, 32), 'pre_logits.fc.bias': torch.ones(32)},
    'head after pre_logits': {'pre_logits.fc.weight': torch.ones(32, 32), 'head.weight': torch.ones(5, 32)},
    'loss': {'criterion.weight': torch.ones(5), 'mean': torch.ones(3), 'std': torch.ones(1, 3, 1, 1)},
    'second head': {'head_dist.weight': torch.ones(5, 32), 'head_dist.bias': torch.ones(5)},
    'projector of the width': {'projector.weight': torch.ones(32, 32), 'projector.bias': torch.ones(32)},
    'projector': {'projection_head.layers.0.weight': torch.ones(64, 32), 'prototypes.weight': torch.ones(9, 64)},
    'token for masked patches': {'mask_token': torch.ones(1, 1, 32)},
    'decoder of one layer': {'decoder.0.weight': torch.ones(192, 32, 1, 1), 'decoder.0.bias': torch.ones(192)},
    'scale': {'logit_scale': torch.ones(())},
}
INSIDE = {
    'token': {'more_tokens': torch.ones(1, 4, 32)},
    'token of one row': {'time_token': torch.ones(32)},
    'norm before the blocks': {'norm_0.weight': torch.ones(32), 'norm_0.bias': torch.ones(32)},
    'second embedding': {'stem.weight': torch.ones(8, 3, 4, 4)},
    'rotary': {'rope.periods': torch.ones(4)},
    'in a block': {'blocks.0.ls9.gamma': torch.ones(32)},
    'in the embedding': {'patch_embed.norm.weight': torch.ones(32)},
}


@pytest.mark.parametrize('prefix', ['', 'model.backbone_2.'])
@pytest.mark.parametrize('beside', BESIDE)
def test_what_is_beside_the_vit_is_no_error_and_is_not_converted(beside, prefix):
    source = randomize(small_vit())
    state = {prefix + name: value for name, value in (source.state_dict() | BESIDE[beside]).items()}
    weights, vit = read_weights(state), small_vit()
    report = load_vit(vit, weights)
    assert unchanged(vit, source.state_dict()) and report.unexpected == list(BESIDE[beside]) == weights.other
    for layout in LAYOUTS:
        written = from_canonical(weights.encoder, weights.decoder, layout, weights.head)
        assert set(to_canonical(written)[0]) == set(source.state_dict())


@pytest.mark.parametrize('inside', INSIDE)
def test_what_the_tokens_would_pass_through_is_an_error(inside):
    state = randomize(small_vit()).state_dict() | INSIDE[inside]
    name = next(iter(INSIDE[inside]))
    words = (
        f"'{name}' of the checkpoint has no counterpart|the checkpoint has (4 registers|a norm before the first block)"
    )
    with pytest.raises(CheckpointError, match=words):
        load_vit(small_vit(), state)


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_the_official_linear_probe_is_read_with_its_norm(prefix):
    """Official main_linprobe.py: ``model.head = Sequential(BatchNorm1d(affine=False, eps=1e-6), model.head)``."""
    theirs = randomize(VisionTransformer(img_size=32, patch_size=8, num_classes=5, global_pool='token', **SMALL)).eval()
    norm = nn.BatchNorm1d(32, affine=False, eps=1e-6).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 3)
    theirs.head = nn.Sequential(norm, theirs.head)
    weights = read_weights(dict(model={prefix + name: value for name, value in theirs.state_dict().items()}))
    assert not weights.other and set(weights.head) == {
        *(f'head_norm.{name}' for name in ('running_mean', 'running_var', 'num_batches_tracked')),
        *('head.weight', 'head.bias'),
    }
    head, images = fold_head_norm(weights.head), torch.randn(2, 3, 32, 32)
    vit = small_vit()
    load_vit(vit, weights)
    logits = nn.functional.linear(vit.tokens(images)[:, 0], head['head.weight'], head['head.bias'])
    torch.testing.assert_close(logits, theirs(images), rtol=1e-4, atol=1e-4)


def hf_config() -> ViTConfig:
    return ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        image_size=32,
        patch_size=8,
        encoder_stride=8,
        layer_norm_eps=1e-6,
        num_labels=5,
    )


@pytest.mark.parametrize('kind', [ViTForMaskedImageModeling, ViTForImageClassification])
def test_the_features_of_other_models_of_transformers_are_equal(kind, tmp_path):
    theirs = randomize(kind(hf_config())).eval()
    theirs.save_pretrained(tmp_path)
    vit, images = small_vit(), torch.randn(2, 3, 32, 32)
    report = load_vit(vit, tmp_path)
    torch.testing.assert_close(vit.tokens(images), theirs.vit(images).last_hidden_state, rtol=1e-5, atol=1e-5)
    if kind is ViTForMaskedImageModeling:
        assert set(report.unexpected) == {'vit.embeddings.mask_token', 'decoder.0.weight', 'decoder.0.bias'}
        assert 'not used: ' in str(report) and 'vit.embeddings.mask_token' in str(report)


@pytest.mark.parametrize('source_grid', [None, (4, 4)])
def test_positions_without_a_row_for_the_class_token(source_grid):
    """As in DeiT III."""
    theirs = randomize(
        VisionTransformer(img_size=32, patch_size=8, num_classes=0, global_pool='token', no_embed_class=True, **SMALL)
    ).eval()
    vit, images = small_vit(), torch.randn(2, 3, 32, 32)
    report = load_vit(vit, theirs.state_dict(), source_grid=source_grid)
    torch.testing.assert_close(vit.tokens(images), theirs.forward_features(images), rtol=1e-5, atol=1e-5)
    assert 'a row of zeros for the class token put in front' in str(report) and not report.resized
    larger = small_vit(img_size=64)
    assert load_vit(larger, theirs.state_dict()).resized


def test_positions_without_a_row_for_the_class_token_of_another_grid():
    state = randomize(small_vit(img_size=(16, 48))).state_dict()  # 2 x 6
    state['pos_embed'] = state['pos_embed'][:, 1:]
    with pytest.raises(CheckpointError, match='pos_embed of 11 patches is for no square grid'):
        load_vit(small_vit(), state)
    load_vit(small_vit(), state, source_grid=(2, 6))
    vit = small_vit(img_size=(16, 48))
    load_vit(vit, state)  # the model's own grid
    assert torch.equal(vit.pos_embed[:, 1:], state['pos_embed']) and not vit.pos_embed[:, 0].any()


@pytest.mark.parametrize('name', ['dist_token', 'vit.embeddings.distillation_token'])
def test_the_token_of_a_distilled_deit_is_named(name):
    state = randomize(small_vit()).state_dict()
    state['pos_embed'] = torch.ones(1, 18, 32)
    if name.startswith('vit.'):
        state = from_canonical(state, None, 'hf')
    with pytest.raises(CheckpointError, match='has a distillation token .*take the weights of the same DeiT without'):
        load_vit(small_vit(), state | {name: torch.ones(1, 1, 32)})
