"""The configs that read a ViT by classification: their recipes, and their parameter groups against the official code.

Their rates are tested in test_schedules.py.
"""

from __future__ import annotations

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DefaultScope
from torch import nn

from mae_transfer.kinds import data_loaders
from mae_transfer.optim.batch_plan import plan_of
from mae_transfer.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from mae_transfer.settings import change_settings
from mae_transfer.vit.sizes import resolve_size
from tests.configs.recipes import CONFIGS, check_recipe, load
from tests.official import GOLDEN

NAMES = sorted(path.stem for path in CONFIGS.glob('in1k_*.py'))
ARCH = {'b': 'base', 'l': 'large', 'h': 'huge'}

# The recipes

FINETUNE = {  # official FINETUNE.md and main_finetune.py; MAE Table 9
    'total_batch_size': 1024,
    'model.pooling': 'patch_mean',
    'model.label_smoothing': 0.1,
    'model.tuned_blocks': None,
    'model.head_std': None,  # the class's 2e-5
    'model.vit.learn_positions': True,
    'model.data_preprocessor.mixup': dict(mixup_alpha=0.8, cutmix_alpha=1.0, prob=1.0, switch_prob=0.5),
    'model.data_preprocessor.erasing': dict(probability=0.25, mode='pixel'),
    'train_dataloader.dataset.transform': dict(type='FineTuneCrop', auto_augment='rand-m9-mstd0.5-inc1'),
    'train_dataloader.drop_last': True,
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    'optim_wrapper.clip_grad': None,
    'optim_wrapper.dtype': 'bfloat16',
    'default_hooks.ema': None,
}
LINPROBE = {  # official main_linprobe.py; MAE Table 10
    'total_batch_size': 16384,
    'model.pooling': 'class_token',
    'model.tuned_blocks': 0,
    'model.batch_norm': True,
    'model.head_std': 0.01,
    'model.label_smoothing': None,
    'model.data_preprocessor': dict(
        type='LabelledPreprocessor', mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
    ),
    'train_dataloader.dataset.transform': dict(type='ProbeCrop'),
    'optim_wrapper.optimizer': dict(type='Lars', momentum=0.9, weight_decay=0.0, trust_coeff=0.001, always_adapt=True),
    'optim_wrapper.paramwise_cfg': dict(optimizer_1d=dict(always_adapt=False)),
    'default_hooks.sync_buffers': dict(type='SyncBuffersHook'),
    'default_hooks.ema': None,
}
SCRATCH = {  # MAE Table 11
    'total_batch_size': 4096,
    'pretrained': 'none',
    'model.vit.init_cfg.checkpoint': 'none',
    'model.label_smoothing': 0.1,
    'model.data_preprocessor.mixup': dict(mixup_alpha=0.8, cutmix_alpha=1.0, prob=1.0, switch_prob=0.5),
    'train_dataloader.dataset.transform.auto_augment': 'rand-m9-mstd0.5-inc1',
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.3, fused=True),
    'default_hooks.ema': dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=1e-4),
}


@pytest.mark.parametrize(
    'name, recipe, base_lr, layer_decay, drop_path, epochs, batch',
    [
        ('in1k_finetune_vitb', FINETUNE, 5e-4, 0.65, 0.1, 100, 128),
        ('in1k_finetune_vitl', FINETUNE, 1e-3, 0.75, 0.2, 50, 64),
        ('in1k_finetune_vith', FINETUNE, 1e-3, 0.75, 0.3, 50, 32),
        ('in1k_finetune_vith_448', FINETUNE, 1e-3, 0.75, 0.3, 50, 8),
        ('in1k_partial_vitl', {**FINETUNE, 'model.tuned_blocks': 4}, 1e-3, 0.75, 0.2, 50, 64),
        ('in1k_linprobe_vitb', LINPROBE, 0.1, 1.0, None, 90, 512),
        ('in1k_linprobe_vitl', LINPROBE, 0.1, 1.0, None, 90, 256),
        ('in1k_linprobe_vith', LINPROBE, 0.1, 1.0, None, 90, 128),
        ('in1k_scratch_vitb', SCRATCH, 1e-4, 1.0, 0.1, 300, 256),
        ('in1k_scratch_vitl', SCRATCH, 1e-4, 1.0, 0.2, 200, 128),
        ('in1k_scratch_vith', SCRATCH, 1e-4, 1.0, 0.2, 200, 64),
    ],
)
def test_the_recipe_is_the_published_one(name, recipe, base_lr, layer_decay, drop_path, epochs, batch):
    check_recipe(
        load(name),
        {
            **recipe,
            'base_lr': base_lr,
            'optim_wrapper.paramwise_cfg': dict(recipe.get('optim_wrapper.paramwise_cfg', {}), layer_decay=layer_decay),
            'model.vit.arch': ARCH[name.partition('_vit')[2][0]],
            'model.vit.drop_path_rate': drop_path,
            'train_cfg.type': 'EpochBasedTrainLoop',
            'train_cfg.max_epochs': epochs,
            'train_dataloader.batch_size': batch,
        },
    )


@pytest.mark.parametrize('name', NAMES)
def test_every_config_builds_its_model_from_weights_of_its_own_size(name):
    cfg = load(name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    size = name.partition('_vit')[2][0]
    assert cfg.model.vit.arch == ARCH[size]
    assert cfg.model.vit.init_cfg.checkpoint == cfg.pretrained
    assert cfg.pretrained == ('none' if 'scratch' in name else f'work_dirs/mae_pretrain_vit{size}')
    assert model.vit.grid == (cfg.model.vit.img_size // model.vit.patch_size,) * 2


@pytest.mark.parametrize(
    'name, num_classes',
    [
        ('transfer/inat2018_finetune_vitl', 8142),
        ('transfer/places365_finetune_vitl', 365),
        ('transfer/cifar100_finetune_vitb', 100),
        ('small/finetune_tin20', 20),
        ('small/linprobe_tin20', 20),
        ('small/knn_tin20', 0),
        ('small/fastprobe_tin20', 0),
    ],
)
def test_other_data_have_their_classes_and_their_folder_everywhere(name, num_classes):
    cfg = load(name)
    with torch.device('meta'):
        assert MODELS.build(cfg.model).num_classes == num_classes
    loaders = data_loaders(change_settings(cfg, ['data_root=elsewhere']))
    assert len(loaders) == (3 if num_classes else 2)
    for loader in loaders.values():
        assert loader.dataset.data_root == 'elsewhere'
        assert loader.dataset.get('classes') == ('elsewhere/categories_places365.txt' if 'places' in name else None)


@pytest.mark.parametrize('name', NAMES)
def test_the_vit_s_size_is_that_of_all_images(name):
    cfg, side = load(name), 448 if '448' in name else 224
    for changes, wanted in (([], side), (['image_size=112'], 112), (['model.vit.img_size=112'], 112)):
        changed = change_settings(cfg, changes)
        loaders = data_loaders(changed)
        assert len(loaders) == (2 if 'knn' in name or 'fastprobe' in name else 3)
        assert {changed.model.vit.img_size, *(loader.dataset.img_size for loader in loaders.values())} == {wanted}


@pytest.mark.parametrize(
    'name, parameters',
    [('in1k_finetune_vitb', 86.57e6), ('in1k_finetune_vitl', 304.3e6), ('in1k_finetune_vith', 632e6)],
)
def test_the_number_of_parameters_is_mmpretrain_s(name, parameters):
    with torch.device('meta'):
        model = MODELS.build(load(name).model)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(parameters, rel=1e-3)


@pytest.mark.parametrize('name', [name for name in NAMES if 'total_batch_size' in load(name)])
def test_the_total_batch_can_be_shared_out_over_eight(name):
    assert plan_of(load(name), 8).total == load(name).total_batch_size


# Parameter groups, through the real wrapper


def narrow(name: str) -> nn.Module:
    """A config's classifier at its depth and with all its names, but narrow: rate and decay depend on these alone."""
    cfg = load(name)
    vit = dict(cfg.model.vit, arch=f'16x{resolve_size(cfg.model.vit.arch).depth}x2', img_size=32, patch_size=16)
    return MODELS.build(dict(cfg.model, vit=vit, num_classes=3))


@pytest.mark.parametrize('wrap', ['bare', 'DDP'])
@pytest.mark.parametrize(
    'name, golden',
    [
        ('in1k_finetune_vitb', 'vit_base_patch16'),
        ('in1k_finetune_vitl', 'vit_large_patch16'),
        ('in1k_finetune_vith', 'vit_huge_patch14'),
    ],
)
def test_rate_and_decay_of_every_parameter_equal_the_official_ones(name, golden, wrap, tmp_path):
    golden = GOLDEN['layer_decay'][golden]
    cfg = load(name)
    plan = plan_of(cfg, 8)
    model = bare = narrow(name)
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay == golden['layer_decay']
    try:
        if wrap == 'DDP':
            torch.distributed.init_process_group(
                'gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1
            )
            model = MMDistributedDataParallel(bare)
        with DefaultScope.overwrite_default_scope('mae_transfer'):
            settings = plan.adapt_optim_wrapper(cfg.optim_wrapper)
            constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
                dict(
                    type=settings.pop('constructor'),
                    paramwise_cfg=settings.pop('paramwise_cfg'),
                    optim_wrapper_cfg=settings,
                )
            )
            wrapper = constructor(model)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    names = {id(parameter): name.removeprefix('vit.') for name, parameter in bare.named_parameters()}
    found = {names[id(parameter)]: group for group in wrapper.optimizer.param_groups for parameter in group['params']}
    assert set(found) == set(golden['params'])
    for key, (scale, weight_decay) in golden['params'].items():
        # The file keeps ten decimals.
        assert found[key]['lr_scale'] == pytest.approx(scale, rel=1e-6, abs=6e-11), key
        assert found[key]['lr'] == pytest.approx(plan.lr * scale, rel=1e-6, abs=2e-13), key
        assert found[key]['weight_decay'] == weight_decay, key
