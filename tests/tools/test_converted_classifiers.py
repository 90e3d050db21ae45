"""Whatever is converted is the same classifier in the other project, or its head is left out aloud.

The models are timm's and transformers' own. The official code's classifiers are timm's with ``global_pool`` 'avg' or
'token' (``models_vit.py``). mmpretrain's VisionTransformer with a VisionTransformerClsHead is written out here.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification, ViTMAEModel

from mae_transfer.classify import ViTClassifier
from mae_transfer.vit.weights.checkpoint import load_vit, read_checkpoint, read_weights
from tests.pretraining.test_mae import small_mae
from tests.tools.commands import call
from tests.vit.weights.test_checkpoint import SMALL, randomize, small_vit
from tests.vit.weights.test_layouts import hf_config

VIT = dict(type='ViT', arch=SMALL, img_size=32, patch_size=8)
TASKS = {
    'fine-tuned': dict(pooling='patch_mean'),
    'fine-tuned on the class token': dict(pooling='class_token'),
    'partially fine-tuned': dict(pooling='patch_mean', tuned_blocks=1),
    'linear probe': dict(pooling='class_token', batch_norm=True, tuned_blocks=0),
    'linear probe of the mean': dict(pooling='patch_mean', batch_norm=True, tuned_blocks=0),
}


def classifier(task: str, **vit) -> ViTClassifier:
    model = randomize(ViTClassifier(dict(VIT, **vit), num_classes=5, **TASKS[task])).eval()
    if isinstance(model.head_norm, nn.BatchNorm1d):
        model.head_norm.running_mean.normal_()
        model.head_norm.running_var.uniform_(0.1, 3)
    return model


class MMPretrainViT(nn.Module):
    """VisionTransformer and VisionTransformerClsHead of mmpretrain 1.2, on the blocks of a timm model."""

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        self.state, self.out_type = state, 'avg_featmap' if 'backbone.ln2.weight' in state else 'cls_token'

    def norm(self, name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.state[f'{name}.weight'], self.state[f'{name}.bias'], eps=1e-6)

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.state[f'{name}.weight'], self.state[f'{name}.bias'])

    def forward(self, images: Tensor) -> Tensor:
        proj = 'backbone.patch_embed.projection'
        x = F.conv2d(images, self.state[f'{proj}.weight'], self.state[f'{proj}.bias'], stride=8).flatten(2).mT
        x = torch.cat([self.state['backbone.cls_token'].expand(len(x), -1, -1), x], dim=1)
        x = x + self.state['backbone.pos_embed']
        for i in range(2):
            block = f'backbone.layers.{i}'
            qkv = self.linear(f'{block}.attn.qkv', self.norm(f'{block}.ln1', x))
            q, k, v = qkv.unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
            x = x + self.linear(
                f'{block}.attn.proj', F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            )
            hidden = F.gelu(self.linear(f'{block}.ffn.layers.0.0', self.norm(f'{block}.ln2', x)))
            x = x + self.linear(f'{block}.ffn.layers.1', hidden)
        if 'backbone.ln1.weight' in self.state:  # final_norm
            x = self.norm('backbone.ln1', x)
        pooled = x[:, 0] if self.out_type == 'cls_token' else self.norm('backbone.ln2', x[:, 1:].mean(1))
        return self.linear('head.layers.head', pooled)


def other_project(layout: str, state: dict[str, Tensor]) -> nn.Module:
    """The project's own classifier with the converted weights, every one of which it must have a place for."""
    if layout == 'mmpretrain':
        return MMPretrainViT(state)
    if layout == 'hf':
        config = ViTConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=128,
            image_size=32,
            patch_size=8,
            layer_norm_eps=1e-6,
            num_labels=5,
        )
        model = ViTForImageClassification.from_pretrained(
            None, config=config, state_dict=state, output_loading_info=True
        )
        assert not model[1]['missing_keys'] and not model[1]['unexpected_keys']
        return model[0]
    model = VisionTransformer(
        img_size=32, patch_size=8, num_classes=5, global_pool='avg' if 'fc_norm.weight' in state else 'token', **SMALL
    )
    model.load_state_dict(state)
    return model


def converted(model: nn.Module, layout: str, folder) -> tuple[dict[str, Tensor], str]:
    """The weights that the tool writes, and what it prints."""
    torch.save(dict(state_dict=model.state_dict()), folder / 'ours.pth')
    ended = call('convert_checkpoint', folder / 'ours.pth', folder / f'{layout}.safetensors', '--to', layout)
    assert ended.code == 0, ended.err
    return read_checkpoint(folder / f'{layout}.safetensors'), ended.out


@pytest.mark.parametrize('layout', ['timm', 'official', 'mmpretrain', 'hf'])
@pytest.mark.parametrize('task', TASKS)
def test_a_converted_classifier_is_the_same_or_has_no_head(task, layout, tmp_path):
    ours, images = classifier(task), torch.randn(4, 3, 32, 32)
    state, printed = converted(ours, layout, tmp_path)
    if layout == 'hf' and TASKS[task]['pooling'] == 'patch_mean':
        assert 'head left out, it would be another classifier: ' in printed
        assert not [name for name in state if not name.startswith('vit.')]
        return
    assert 'dropped: nothing' in printed and 'left out' not in printed
    assert ('batch norm is folded into it' in printed) == ('probe' in task)
    assert ('set layer_norm_eps=1e-6' in printed) == (layout == 'hf')
    # In float64, so that only what the conversion changed differs.
    theirs = other_project(layout, {name: value.double() for name, value in state.items()}).double().eval()
    with torch.no_grad():
        logits, expected = theirs(images.double()), ours.double().head(ours.head_norm(ours.features(images.double())))
    torch.testing.assert_close(getattr(logits, 'logits', logits), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('task', TASKS)
def test_our_own_layout_keeps_everything(task, tmp_path):
    ours = classifier(task)
    state, printed = converted(ours, 'mae_transfer', tmp_path)
    assert 'dropped: nothing' in printed and 'folded' not in printed
    assert set(state) == set(ours.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize('layout', ['timm', 'official', 'mmpretrain', 'hf'])
def test_a_converted_pre_training_has_the_same_features(layout, tmp_path):
    ours, images = randomize(small_mae()).eval(), torch.randn(2, 3, 32, 32)
    state, printed = converted(ours, layout, tmp_path)
    assert ('decoder.pred.weight' in printed) == (layout == 'timm')
    expected = ours.vit.tokens(images)
    if layout == 'hf':
        config = hf_config()
        config.mask_ratio = 0.0
        theirs, info = ViTMAEModel.from_pretrained(
            None,
            config=config,
            state_dict={name.removeprefix('vit.'): value for name, value in state.items() if name.startswith('vit.')},
            output_loading_info=True,
        )
        assert not info['missing_keys'] and not info['unexpected_keys']
        found = theirs.eval()(images, noise=torch.arange(16.0).expand(2, -1)).last_hidden_state
    elif layout == 'mmpretrain':
        head = {'head.layers.head.weight': torch.eye(32), 'head.layers.head.bias': torch.zeros(32)}
        found, expected = MMPretrainViT({**state, **head})(images), expected[:, 0]
    else:
        theirs = VisionTransformer(img_size=32, patch_size=8, num_classes=0, global_pool='token', **SMALL)
        theirs.load_state_dict(
            {name: value for name, value in state.items() if 'decoder' not in name and name != 'mask_token'}
        )
        found = theirs.eval().forward_features(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_without_class_token_timm_has_the_same_classifier_and_transformers_none(tmp_path):
    ours, images = classifier('fine-tuned', class_token=False), torch.randn(2, 3, 32, 32)
    state, _ = converted(ours, 'timm', tmp_path)
    theirs = VisionTransformer(img_size=32, patch_size=8, num_classes=5, global_pool='avg', class_token=False, **SMALL)
    theirs.load_state_dict(state)
    torch.testing.assert_close(theirs.eval()(images), ours(images, mode='tensor'), rtol=1e-4, atol=1e-4)
    ended = call('convert_checkpoint', tmp_path / 'ours.pth', tmp_path / 'hf.pth', '--to', 'hf')
    assert ended.code == 2 and 'layout hf cannot store a ViT without class token' in ended.err
    assert not (tmp_path / 'hf.pth').exists()


def test_a_linear_probe_starts_a_fine_tuning_with_the_same_classifier(tmp_path):
    """Without its batch norm, the head would be another classifier here too."""
    probe, images = classifier('linear probe'), torch.randn(4, 3, 32, 32)
    torch.save(dict(state_dict=probe.state_dict()), tmp_path / 'probe.pth')
    tuned = classifier('fine-tuned on the class token')
    tuned.load_weights(tmp_path / 'probe.pth')
    torch.testing.assert_close(tuned(images, mode='tensor'), probe(images, mode='tensor'), rtol=1e-4, atol=1e-4)


# --- grids ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    'name, layout, words',
    [
        ('there.pth', 'official', 'positions: of 2 x 8 patches (source_grid); stated in DST'),
        ('there.pth', 'timm', 'source_grid); DST cannot say so: load it with source_grid=(2, 8)'),
        ('there.safetensors', 'mae_transfer', 'source_grid); DST cannot say so: load it with source_grid=(2, 8)'),
    ],
)
def test_a_grid_that_is_told_is_written_or_said(name, layout, words, tmp_path):
    source = randomize(small_vit(img_size=(16, 64)))
    torch.save(source.state_dict(), tmp_path / 'ours.pth')
    options = ['--to', layout, '--source-grid', '2', '8']
    ended = call('convert_checkpoint', tmp_path / 'ours.pth', tmp_path / name, *options)
    assert ended.code == 0 and words in ended.out
    stated = read_weights(tmp_path / name).grid
    assert (stated is not None and stated.grid == (2, 8)) == (layout == 'official')
    vit = small_vit()
    assert 'pos_embed' in load_vit(vit, tmp_path / name, source_grid=None if stated else (2, 8)).resized


def test_a_wrong_grid_is_refused(tmp_path):
    torch.save(randomize(small_mae()).state_dict(), tmp_path / 'ours.pth')
    options = ['--to', 'timm', '--source-grid', '3', '8']
    ended = call('convert_checkpoint', tmp_path / 'ours.pth', tmp_path / 'timm.pth', *options)
    assert ended.code == 2 and 'pos_embed is for 16 patches; source_grid 3 x 8 has 24' in ended.err
    assert not (tmp_path / 'timm.pth').exists()
