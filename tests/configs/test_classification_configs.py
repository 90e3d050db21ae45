"""The configs that read a ViT by classification: their recipes, their parameter groups and their rates against the
official code."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from torch import nn

from mae_transfer.checks import data_loaders
from mae_transfer.launch import share_img_size
from mae_transfer.optim.batch_plan import apply_batch_plan
from mae_transfer.options import change_setting
from mae_transfer.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from mae_transfer.vit.sizes import resolve_size
from tests.official import GOLDEN

CONFIGS = Path(__file__).parents[2] / 'configs'
NAMES = sorted(path.stem for path in CONFIGS.glob('in1k_*.py'))
IMAGENET = 1281167  # training images


@cache
def load(name: str) -> Config:
    return Config.fromfile(CONFIGS / f'{name}.py')


def setting(cfg: Config, key: str):
    """The setting of a dotted key; None where there is none."""
    node = cfg
    for part in key.split('.'):
        node = node[int(part)] if part.isdigit() else node.get(part)
        if node is None:
            return None
    return node


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
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.05),
    'optim_wrapper.clip_grad': None,
    'optim_wrapper.dtype': 'bfloat16',
    'param_scheduler.0.warmup': 5,
    'param_scheduler.0.min_lr': 1e-6,
}
LINPROBE = {  # official main_linprobe.py; MAE Table 10
    'total_batch_size': 16384,
    'base_lr': 0.1,
    'model.pooling': 'class_token',
    'model.tuned_blocks': 0,
    'model.batch_norm': True,
    'model.head_std': 0.01,
    'model.label_smoothing': None,
    'model.data_preprocessor': dict(type='LabelledPreprocessor'),
    'train_dataloader.dataset.transform': dict(type='ProbeCrop'),
    'optim_wrapper.optimizer': dict(type='Lars', momentum=0.9, weight_decay=0.0, trust_coeff=0.001, always_adapt=True),
    'optim_wrapper.paramwise_cfg': dict(layer_decay=1.0, vectors=dict(always_adapt=False)),
    'param_scheduler.0.warmup': 10,
    'param_scheduler.0.end': 90,
    'param_scheduler.0.min_lr': None,
    'train_cfg.max_epochs': 90,
}
SCRATCH = {  # MAE Table 11
    'total_batch_size': 4096,
    'base_lr': 1e-4,
    'pretrained': 'none',
    'model.vit.init_cfg.checkpoint': 'none',
    'model.label_smoothing': 0.1,
    'model.data_preprocessor.mixup': dict(mixup_alpha=0.8, cutmix_alpha=1.0, prob=1.0, switch_prob=0.5),
    'train_dataloader.dataset.transform.auto_augment': 'rand-m9-mstd0.5-inc1',
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.3),
    'optim_wrapper.paramwise_cfg.layer_decay': 1.0,
    'param_scheduler.0.warmup': 20,
    'custom_hooks.4': dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=1e-4),
}


@pytest.mark.parametrize(
    'name, key, value',
    [
        (f'in1k_{recipe}_vit{size}', key, value)
        for recipe, settings in dict(finetune=FINETUNE, linprobe=LINPROBE, scratch=SCRATCH).items()
        for size in 'blh'
        for key, value in settings.items()
    ],
)
def test_recipe(name, key, value):
    assert setting(load(name), key) == value


@pytest.mark.parametrize(
    'name, arch, base_lr, layer_decay, drop_path, epochs',
    [
        ('in1k_finetune_vitb', 'base', 5e-4, 0.65, 0.1, 100),
        ('in1k_finetune_vitl', 'large', 1e-3, 0.75, 0.2, 50),
        ('in1k_finetune_vith', 'huge', 1e-3, 0.75, 0.3, 50),
        ('in1k_finetune_vith_448', 'huge', 1e-3, 0.75, 0.3, 50),
        ('in1k_partial_vitl', 'large', 1e-3, 0.75, 0.2, 50),
        ('in1k_scratch_vitb', 'base', 1e-4, 1.0, 0.1, 300),
        ('in1k_scratch_vitl', 'large', 1e-4, 1.0, 0.2, 200),
        ('in1k_scratch_vith', 'huge', 1e-4, 1.0, 0.2, 200),
        ('in1k_linprobe_vitb', 'base', 0.1, 1.0, None, 90),
        ('in1k_linprobe_vitl', 'large', 0.1, 1.0, None, 90),
        ('in1k_linprobe_vith', 'huge', 0.1, 1.0, None, 90),
    ],
)
def test_what_each_size_has_for_itself(name, arch, base_lr, layer_decay, drop_path, epochs):
    cfg = load(name)
    found = (
        cfg.model.vit.arch,
        cfg.base_lr,
        cfg.optim_wrapper.paramwise_cfg.layer_decay,
        cfg.model.vit.get('drop_path_rate'),
        cfg.train_cfg.max_epochs,
        cfg.param_scheduler[0].end,
    )
    assert found == (arch, base_lr, layer_decay, drop_path, epochs, epochs)


@pytest.mark.parametrize('name', NAMES)
def test_every_config_builds_its_model_from_weights_of_its_own_size(name):
    cfg = load(name)
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    size = {'base': 'b', 'large': 'l', 'huge': 'h'}[cfg.model.vit.arch]
    assert f'_vit{size}' in name
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
    cfg = load(name).copy()
    with torch.device('meta'):
        assert MODELS.build(cfg.model).num_classes == num_classes
    loaders = data_loaders(change_setting(cfg, 'data_root=elsewhere'))
    assert len(loaders) == (3 if num_classes else 2)
    for loader in loaders.values():
        assert loader.dataset.data_root == 'elsewhere/'
        assert loader.dataset.get('classes', 'elsewhere/').startswith('elsewhere/')


@pytest.mark.parametrize('name', NAMES)
def test_the_vit_s_size_is_that_of_all_images(name):
    cfg = load(name).copy()
    share_img_size(cfg)
    loaders = data_loaders(cfg)
    assert len(loaders) == (2 if 'knn' in name or 'fastprobe' in name else 3)
    assert {loader.dataset.img_size for loader in loaders.values()} == {448 if '448' in name else 224}


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
    assert apply_batch_plan(load(name).copy(), 8).total == load(name).total_batch_size


@pytest.mark.parametrize('gpus, interval', [(8, 2), (16, 1)])
def test_the_moving_average_takes_one_of_each_step(gpus, interval):
    cfg = load('in1k_scratch_vitb').copy()
    plan = apply_batch_plan(cfg, gpus)
    assert cfg.custom_hooks[4].interval == plan.accumulation == interval


# Parameter groups, through the real wrapper


def narrow(name: str) -> nn.Module:
    """A config's classifier at its depth and with all its names, but narrow: rate and decay depend on these alone."""
    cfg = load(name)
    depth = resolve_size(cfg.model.vit.arch).depth
    vit = dict(cfg.model.vit, arch=dict(embed_dim=16, depth=depth, num_heads=2), img_size=32, patch_size=16)
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
    cfg = load(name).copy()
    plan = apply_batch_plan(cfg, 8)
    model = bare = narrow(name)
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay == golden['layer_decay']
    try:
        if wrap == 'DDP':
            torch.distributed.init_process_group(
                'gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1
            )
            model = MMDistributedDataParallel(bare)
        with DefaultScope.overwrite_default_scope('mae_transfer'):
            settings = cfg.optim_wrapper.to_dict()
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


# The rate at every iteration


def official(epoch: float, lr: float, warmup: float, epochs: float, min_lr: float) -> float:
    """util/lr_sched.py, at a fractional epoch."""
    if epoch < warmup:
        return lr * epoch / warmup
    return min_lr + (lr - min_lr) * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup)))


@pytest.mark.parametrize(
    'name, gpus, batch, epochs, warmup, lr, min_lr',
    [
        ('in1k_finetune_vitb', 8, 128, 100, 5, 2e-3, 1e-6),
        ('in1k_finetune_vitl', 16, 64, 50, 5, 4e-3, 1e-6),
        ('in1k_finetune_vith', 32, 32, 50, 5, 4e-3, 1e-6),
        ('in1k_linprobe_vitb', 32, 512, 90, 10, 6.4, 0.0),
        ('in1k_scratch_vitb', 16, 256, 300, 20, 1.6e-3, 0.0),
        ('mae_pretrain_vitl', 64, 64, 1600, 40, 2.4e-3, 0.0),
    ],
)
def test_the_rate_of_every_iteration_is_the_official_one(name, gpus, batch, epochs, warmup, lr, min_lr):
    cfg = load(name).copy()
    plan = apply_batch_plan(cfg, gpus)
    assert (plan.per_gpu, plan.accumulation) == (batch, 1)
    length = IMAGENET // plan.total
    decay, depth = cfg.optim_wrapper.paramwise_cfg.layer_decay, resolve_size(cfg.model.vit.arch).depth
    scales = sorted({decay**i for i in range(depth + 2)})
    optimizer = torch.optim.SGD(
        [
            dict(params=[nn.Parameter(torch.zeros(1))], lr=plan.lr * scale, lr_scale=scale)
            for scale in (scales[0], scales[-1])
        ]
    )
    with DefaultScope.overwrite_default_scope('mae_transfer'):
        (scheduler,) = (
            PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=optimizer, epoch_length=length))
            for settings in cfg.param_scheduler
        )
    optimizer.step()
    worst = 0.0
    for epoch in range(epochs):
        for step in range(length):
            rate = official(step / length + epoch, lr, warmup, epochs, min_lr)
            for group in optimizer.param_groups:
                worst = max(worst, abs(group['lr'] - rate * group['lr_scale']))
            scheduler.step()
    assert worst <= 1e-9


def test_accumulated_batches_keep_the_rate_of_the_first():
    cfg = load('in1k_finetune_vitl').copy()
    plan = apply_batch_plan(cfg, 8)
    assert plan.accumulation == cfg.param_scheduler[0].accumulation == 2
    length = 2500
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=plan.lr)
    with DefaultScope.overwrite_default_scope('mae_transfer'):
        scheduler = PARAM_SCHEDULERS.build(
            cfg.param_scheduler[0], default_args=dict(optimizer=optimizer, epoch_length=length)
        )
    optimizer.step()
    for iteration in range(3 * length):
        epoch, step = divmod(iteration, length)
        expected = official(epoch + (step - step % 2) / length, 4e-3, 5, 50, 1e-6)
        assert abs(optimizer.param_groups[0]['lr'] - expected) <= 1e-9, iteration
        scheduler.step()
