"""Parameter groups against those of the official code, for a ViT at any place in a model."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import MMDistributedDataParallel
from timm.layers import LayerNorm2d
from torch import nn

from mae_transfer.errors import UserError
from mae_transfer.optim import AutocastOptimWrapper, LayerDecayOptimWrapperConstructor
from mae_transfer.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mae_transfer.vit import ViT
from mae_transfer.vit.depth import layer_scale
from tests.helpers import small_vit
from tests.official import GOLDEN

ARCHS = {'vit_base_patch16': 'base', 'vit_large_patch16': 'large', 'vit_huge_patch14': 'huge'}


class Classifier(ViT):
    """The names of an official fine-tuning: the ViT's own, fc_norm and head."""

    def __init__(self, **settings):
        super().__init__(learn_positions=True, final_norm=False, **settings)
        self.fc_norm = nn.LayerNorm(self.embed_dim)
        self.head = nn.Linear(self.embed_dim, 1000)


class Detector(nn.Module):
    def __init__(self, vit: nn.Module):
        super().__init__()
        self.backbone = vit
        self.neck = nn.Conv2d(4, 4, 3)
        self.roi_head = nn.ModuleDict(dict(norm=nn.LayerNorm(4), cls_token=nn.Linear(4, 4)))


class Wrapper(nn.Module):
    """A wrapper that is unknown to MMEngine."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module


def build(model: nn.Module, lr: float = 1e-3, weight_decay: float = 0.05, **paramwise):
    cfg = dict(
        type='mae_transfer.AutocastOptimWrapper',
        dtype='float32',
        optimizer=dict(type='AdamW', lr=lr, weight_decay=weight_decay),
    )
    return LayerDecayOptimWrapperConstructor(cfg, paramwise)(model)


def settings(model: nn.Module, wrapper) -> dict[str, dict]:
    """Map the name of each trainable parameter to its group; each must be in exactly one."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    listed = [
        (names[id(parameter)], group) for group in wrapper.optimizer.param_groups for parameter in group['params']
    ]
    found = dict(listed)
    assert len(listed) == len(found) == sum(parameter.requires_grad for parameter in model.parameters())
    return found


def meta_classifier(arch: str) -> Classifier:
    with torch.device('meta'):
        return Classifier(arch=arch)


@pytest.mark.parametrize(
    'wrap, prefix',
    [(lambda model: model, ''), (Detector, 'backbone.'), (lambda model: Wrapper(Detector(model)), 'module.backbone.')],
    ids=['bare', 'detector', 'wrapped detector'],
)
@pytest.mark.parametrize('golden', GOLDEN['layer_decay'].items(), ids=lambda golden: golden[0])
def test_equals_the_official_scale_and_weight_decay(golden, wrap, prefix):
    name, golden = golden
    model = wrap(meta_classifier(ARCHS[name]))
    wrapper = build(model, lr=2e-3, weight_decay=golden['weight_decay'], layer_decay=golden['layer_decay'])
    found = settings(model, wrapper)
    assert {key for key in found if key.startswith(prefix)} >= {prefix + key for key in golden['params']}
    if not prefix:
        assert set(found) == set(golden['params'])
    for key, (scale, weight_decay) in golden['params'].items():
        group = found[prefix + key]
        # The file has ten decimals.
        assert group['lr_scale'] == pytest.approx(scale, rel=1e-6, abs=6e-11), key
        assert group['lr'] == pytest.approx(2e-3 * scale, rel=1e-6, abs=2e-13), key
        assert group['weight_decay'] == weight_decay, key


def test_wrappers_of_mmengine_do_not_change_the_names(tmp_path):
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1)
    try:
        detector = Detector(small_vit(class_token=False))
        found = settings(detector, build(MMDistributedDataParallel(detector), layer_decay=0.5))
        assert found['backbone.blocks.0.norm1.weight']['lr_scale'] == 0.5**4
    finally:
        torch.distributed.destroy_process_group()


def test_heads_and_final_norm_have_the_full_learning_rate():
    model = Detector(small_vit())
    found = settings(model, build(model, layer_decay=0.5))
    for name in ('neck.weight', 'roi_head.norm.weight', 'roi_head.cls_token.weight', 'backbone.norm.weight'):
        assert found[name]['lr_scale'] == 1, name


def test_norms_biases_and_embeddings_are_not_decayed_but_weights_are():
    model = Detector(small_vit(learn_positions=True))
    found = settings(model, build(model, weight_decay=0.1))
    for name, group in found.items():
        exempt = name.endswith('bias') or 'norm' in name or name in ('backbone.cls_token', 'backbone.pos_embed')
        assert group['weight_decay'] == (0 if exempt else 0.1), name


@pytest.mark.parametrize(
    'kind, is_exempt',
    [
        ('1d', lambda name: name.endswith('bias') or 'norm' in name),
        ('norms', lambda name: 'norm' in name),
        ('none', lambda name: False),
    ],
)
def test_kinds_of_parameters_without_weight_decay(kind, is_exempt):
    """Norms are recognized by class: LayerNorm over channels and GroupNorm are norms, a convolution called norm is
    not."""
    model = Detector(small_vit(learn_positions=True))
    model.norms = nn.ModuleList(
        [LayerNorm2d(4), nn.GroupNorm(2, 4), nn.BatchNorm2d(4), nn.SyncBatchNorm(4), nn.InstanceNorm2d(4, affine=True)]
    )
    model.norms_only_by_name = nn.Conv2d(4, 4, 1)
    found = settings(model, build(model, weight_decay=0.1, no_decay_kind=kind, no_decay_names=('pos_embed',)))
    for name, group in found.items():
        if name == 'backbone.pos_embed':
            exempt = True
        elif 'only_by_name' in name:
            exempt = kind == '1d' and name.endswith('bias')
        else:
            exempt = is_exempt(name)
        assert group['weight_decay'] == (0 if exempt else 0.1), name
    assert found['backbone.cls_token']['weight_decay'] == 0.1


def test_an_unknown_kind_is_refused():
    with pytest.raises(UserError, match="paramwise_cfg.no_decay_kind is one of 1d, norms, none; found 'biases'"):
        build(small_vit(), no_decay_kind='biases')


def test_pretraining_decays_class_and_mask_token():
    from tests.pretraining.test_mae import small_mae

    model = small_mae()
    found = settings(model, build(model, no_decay_names=()))
    assert found['vit.cls_token']['weight_decay'] == found['decoder.mask_token']['weight_decay'] == 0.05
    assert found['decoder.norm.weight']['weight_decay'] == found['vit.patch_embed.proj.bias']['weight_decay'] == 0
    assert {group['lr_scale'] for group in found.values()} == {1}
    assert 'vit.pos_embed' not in found and 'decoder.pos_embed' not in found


def test_frozen_parameters_are_left_out():
    model = small_vit(frozen_blocks=2)
    found = settings(model, build(model, layer_decay=0.5))
    assert not any(name.startswith(('blocks.0.', 'blocks.1.', 'patch_embed')) for name in found)
    assert found['blocks.2.norm1.weight']['lr_scale'] == 0.25


def test_a_shared_parameter_is_in_one_group():
    model = Detector(small_vit())
    model.twin = model.neck
    groups = build(model, layer_decay=0.5).optimizer.param_groups
    grouped = [id(parameter) for group in groups for parameter in group['params']]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters() if parameter.requires_grad)


def test_two_vits_of_different_depth_each_count_from_their_own_end():
    model = nn.ModuleDict(dict(deep=small_vit(depth=4), shallow=small_vit(depth=2)))
    found = settings(model, build(model, layer_decay=0.5))
    for name, scale in {
        'deep.blocks.3.norm1.weight': 0.5,
        'deep.cls_token': 0.5**5,
        'shallow.blocks.1.norm1.weight': 0.5,
        'shallow.cls_token': 0.5**3,
        'shallow.norm.weight': 1,
    }.items():
        assert found[name]['lr_scale'] == scale, name


def test_groups_list_names_and_scale_of_their_parameters():
    model = small_vit()
    for group in build(model, layer_decay=0.5).optimizer.param_groups:
        assert len(group['param_names']) == len(group['params'])
        for name, parameter in zip(group['param_names'], group['params']):
            assert model.get_parameter(name) is parameter
        assert {layer_scale(name, 4, 0.5) for name in group['param_names']} == {group['lr_scale']}


def test_without_layer_decay_there_are_two_groups():
    assert len(build(small_vit(), layer_decay=1.0).optimizer.param_groups) == 2


def test_parameters_of_one_dimension_can_have_their_own_optimiser_settings():
    model = small_vit(learn_positions=True)
    cfg = dict(
        type='mae_transfer.AutocastOptimWrapper',
        dtype='float32',
        optimizer=dict(type='mae_transfer.Lars', lr=1.0, always_adapt=True),
    )
    found = settings(model, LayerDecayOptimWrapperConstructor(cfg, dict(optimizer_1d=dict(always_adapt=False)))(model))
    for name, group in found.items():
        assert group['always_adapt'] == (model.get_parameter(name).ndim > 1), name


def test_other_settings_are_passed_to_the_optimiser():
    cfg = ConfigDict(
        type='mae_transfer.AutocastOptimWrapper',
        dtype='float32',
        accumulative_counts=3,
        optimizer=dict(type='AdamW', lr=1.0, betas=(0.9, 0.95), weight_decay=0.1),
    )
    before = cfg.to_dict()
    wrapper = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(type='LayerDecayOptimWrapperConstructor', optim_wrapper_cfg=cfg))(
        small_vit()
    )
    assert isinstance(wrapper, AutocastOptimWrapper) and wrapper._accumulative_counts == 3
    assert isinstance(wrapper.optimizer, torch.optim.AdamW)
    assert all(group['betas'] == (0.9, 0.95) for group in wrapper.optimizer.param_groups)
    assert before['optimizer']['lr'] == 1.0


def test_layer_decay_needs_a_vit():
    with pytest.raises(UserError, match='layer_decay=0.5 needs a mae_transfer.ViT in the model; found Linear'):
        build(nn.Linear(2, 2), layer_decay=0.5)
    model = nn.Linear(2, 2)
    assert len(settings(model, build(model))) == 2


def test_an_unknown_setting_is_refused():
    with pytest.raises(UserError, match="unknown paramwise_cfg 'bias_decay_mult'"):
        build(small_vit(), bias_decay_mult=0.0)
