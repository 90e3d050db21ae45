"""Weights are found below any key and any prefix; of several ViTs one is taken and the others are said."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.errors import CheckpointError
from mae_transfer.vit.weights.checkpoint import load_vit, read_weights, starting_point
from mae_transfer.vit.weights.layouts import from_canonical
from tests.vit.weights.test_checkpoint import randomize, small_vit, unchanged


def weights_of(seed: int, prefix: str = '', layout: str = 'timm') -> dict[str, torch.Tensor]:
    state = randomize(small_vit(), seed).state_dict()
    return {prefix + name: value for name, value in from_canonical(state, None, layout).items()}


def is_loaded(file: dict, seed: int, **options) -> str:
    """The report on loading, after which the ViT must have the weights of ``seed``."""
    vit = small_vit()
    report = load_vit(vit, file, **options)
    assert unchanged(vit, randomize(small_vit(), seed).state_dict())
    return str(report)


PREFIXES = [
    *('module.', 'module.module.', '_orig_mod.', 'module._orig_mod.', 'model.', 'encoder.', 'model.backbone.'),
    *('backbone.vit.', 'image_encoder.', 'student.backbone.', 'vision_tower.', 'backbone.', 'trunk.0.', 'my_vit.'),
    'vit._orig_mod.',
]


@pytest.mark.parametrize('layout', ['timm', 'mmpretrain', 'hf'])
@pytest.mark.parametrize('prefix', PREFIXES)
def test_any_prefix(prefix, layout):
    others = {'other.weight': torch.ones(3), 'projector.0.weight': torch.ones(4, 32)}
    report = is_loaded(weights_of(1, prefix, layout) | others, 1)
    assert f'layout {"mae_transfer" if layout == "timm" and prefix in OURS else layout}' in report
    assert 'in the checkpoint, not used: other.weight, projector.0.weight' in report


OURS = ('backbone.', 'model.backbone.', 'backbone.vit.', 'student.backbone.', 'vit._orig_mod.')
KEYS = [
    *('teacher', 'model_ema', 'ema', 'target_encoder', 'state_dict_ema', 'state_dict', 'model', 'module', 'net'),
    *('state.model', 'a.b.c.d'),
]


@pytest.mark.parametrize('key', KEYS)
def test_any_key(key):
    file = weights_of(1)
    for name in reversed(key.split('.')):
        file = {name: file, 'epoch': 3, 'optimizer': dict(state={0: dict(exp_avg=torch.ones(3))})}
    report = is_loaded(file, 1)
    assert ''.join(f"['{name}']" for name in key.split('.')) in report and 'taken:' not in report


def test_names_that_fsdp_and_checkpointed_activations_change():
    state = {
        name.replace('blocks.0.', 'blocks.0._checkpoint_wrapped_module._fsdp_wrapped_module.'): value
        for name, value in weights_of(1).items()
    }
    is_loaded({f'_fsdp_wrapped_module.{name}': value for name, value in state.items()}, 1)


#: A file with the weights of seed 1, which are taken, and of 2; what else is said; what takes the second.
COPIES = {
    'timm': (dict(state_dict=weights_of(1), state_dict_ema=weights_of(2)), 'state_dict_ema'),
    'official': (dict(model=weights_of(1), model_ema=weights_of(2)), 'model_ema'),
    'MMEngine': (dict(state_dict=weights_of(1, 'vit.'), ema_state_dict=weights_of(2, 'module.vit.')), 'ema_state_dict'),
    'two usual keys': (dict(model=weights_of(2), state_dict=weights_of(1)), 'model'),
    'DINO': (dict(student=weights_of(2, 'module.backbone.'), teacher=weights_of(1, 'backbone.')), 'student'),
    'DINOv2': (dict(model=weights_of(2, 'student.backbone.') | weights_of(1, 'teacher.backbone.')), 'student.backbone'),
    'Lightly': (
        dict(state_dict=weights_of(2, 'student_backbone.') | weights_of(1, 'teacher_backbone.')),
        'student_backbone',
    ),
    'MoCo v3': (
        dict(state_dict=weights_of(1, 'module.base_encoder.') | weights_of(2, 'module.momentum_encoder.')),
        'momentum_encoder',
    ),
    'MoCo': (dict(state_dict=weights_of(1, 'encoder_q.') | weights_of(2, 'encoder_k.')), 'encoder_k'),
    'I-JEPA': (dict(encoder=weights_of(2, 'module.'), target_encoder=weights_of(1, 'module.')), 'encoder'),
    'BYOL': (weights_of(1, 'backbone.') | weights_of(2, 'backbone_momentum.'), 'backbone_momentum'),
}


@pytest.mark.parametrize('project', COPIES)
def test_of_two_copies_the_one_that_is_evaluated_is_taken_and_the_other_is_said(project):
    file, other = COPIES[project]
    report = is_loaded(file, 1)
    assert "taken: '" in report and 'also in the file: ' in report
    said = report.partition("weights_key='")[2].partition("'")[0]
    assert other in said
    for key in (other, said):
        report = is_loaded(file, 2, weights_key=key)
        assert f"taken: '{said}'" in report


def test_of_unknown_copies_none_is_taken():
    file = dict(first=weights_of(1), second=weights_of(2, 'model.'))
    with pytest.raises(CheckpointError) as caught:
        load_vit(small_vit(), file)
    line = str(caught.value)
    assert "2 ViTs in the file, at first, second.model: choose one by weights_key='first'" in line
    assert 'model.vit.init_cfg.weights_key' in line and '\n' not in line
    is_loaded(file, 2, weights_key='second')
    is_loaded(file, 1, weights_key='first.')


def test_a_key_that_is_not_there():
    with pytest.raises(CheckpointError, match="no ViT at weights_key='ema': the file has model, student"):
        read_weights(dict(model=weights_of(1), student=weights_of(2)), 'ema')
    with pytest.raises(
        CheckpointError, match="no ViT at weights_key='ema': the file has the top: leave weights_key out"
    ):
        read_weights(weights_of(1), 'ema')


def test_init_cfg_has_the_option(tmp_path):
    torch.save(dict(state_dict=weights_of(1), state_dict_ema=weights_of(2)), tmp_path / 'x.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth'), weights_key='state_dict_ema')
    vit = small_vit(init_cfg=init_cfg)
    vit.init_weights()
    assert unchanged(vit, randomize(small_vit(), 2).state_dict())
    assert starting_point(init_cfg) == dict(
        source=str(tmp_path / 'x.pth'), source_grid=None, weights_key='state_dict_ema'
    )
    with pytest.raises(CheckpointError, match="has 'checkpoint', 'source_grid' and 'weights_key', not 'prefix'"):
        starting_point(dict(init_cfg, prefix='x'))


@pytest.mark.parametrize(
    'state, words',
    [
        (dict(model={'conv1.weight': torch.ones(1), 'layer1.0.conv1.weight': torch.ones(1)}), 'as of a ResNet'),
        ({'layers.0.blocks.0.attn.qkv.weight': torch.ones(1)}, 'as of a ViT in stages, such as Swin'),
        ({'stages.0.blocks.0.conv_dw.weight': torch.ones(1)}, 'as of a network in stages, such as ConvNeXt'),
        ({'bert.embeddings.word_embeddings.weight': torch.ones(1)}, 'as of a language model'),
        (
            dict(net={'a.weight': torch.ones(1)}, head={'b.weight': torch.ones(1), 'c.weight': torch.ones(1)}),
            r"tensors are below 'net' \(1, e.g. a.weight\), 'head' \(2, e.g. b.weight\)",
        ),
    ],
)
def test_what_is_no_vit_is_described(state, words):
    with pytest.raises(
        CheckpointError, match=f'no ViT in the weights: .*{words}; known are, also below a prefix'
    ) as caught:
        read_weights(state)
    assert '\n' not in str(caught.value)


def test_a_network_in_stages_with_the_same_patch_embedding_is_described():
    state = {'patch_embed.proj.weight': torch.ones(8, 3, 4, 4), 'layers.0.blocks.0.attn.qkv.weight': torch.ones(24, 8)}
    with pytest.raises(CheckpointError, match='the checkpoint has no blocks: .*as of a ViT in stages, such as Swin'):
        load_vit(small_vit(), state)
