"""The configs of BEiT: the official recipe, for B and L on any number of GPUs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from mae_transfer.optim.layer_decay import parameter_groups
from mae_transfer.optim.schedule import warmup_cosine
from mae_transfer.registry import MODELS
from mae_transfer.settings import change_settings
from tests.configs import recipes
from tests.configs.recipes import CONFIGS, LOADERS, check_recipe, start

every_size = pytest.mark.parametrize('size', ['vitb', 'vitl'])


def load(size: str):
    return recipes.load(f'beit_pretrain_{size}')


@cache
def built(size: str):
    """The model of a config, without memory for its weights."""
    with torch.device('meta'):
        return MODELS.build(load(size).model)


#: Sources: official README.md, the command for ImageNet-1k with ViT-B; defaults of run_beit_pretraining.py; colours as
#: in datasets.py of later versions. The schedule is tested at every iteration in test_schedules.py.
DATASET = dict(
    type='PhotosInTwoSizes',
    data_root='data/imagenet',
    img_size=224,
    token_scale=0.5,
    bands='RGB',
    exif_orientation=False,
)
RECIPE = {
    'base_lr': 1.5e-3 / 8,
    'total_batch_size': 2048,
    'train_cfg.type': 'EpochBasedTrainLoop',
    'train_cfg.max_epochs': 800,
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05, fused=True),
    'optim_wrapper.clip_grad': dict(max_norm=3.0),
    'optim_wrapper.dtype': 'bfloat16',
    'param_scheduler.0.min_lr': 1e-5,
    'param_scheduler.0.warmup': 10,
    'model.type': 'BEiT',
    'model.data_preprocessor': dict(type='PhotoPreprocessor'),  # ImageNet's statistics
    'model.vit.img_size': 224,
    'model.vit.rel_pos': 'shared',
    'model.vit.drop_path_rate': 0.1,
    'model.masking': dict(type='BlockMasking', ratio=0.3826, least_area=16, aspect=0.3),
    'model.target': dict(type='TokenTarget', tokenizer=dict(type='DALLEEncoder', checkpoint='data/dalle/encoder.pkl')),
    'train_dataloader.dataset': dict(DATASET, split='train', scale=(0.08, 1.0), color_jitter=(0.4, 0.4, 0.4, 0.0)),
    'train_dataloader.drop_last': True,
    'train_dataloader.sampler.shuffle': True,
    'val_dataloader.dataset': dict(DATASET, split='val'),
    'test_dataloader.dataset': dict(DATASET, split='val'),
}


@pytest.mark.parametrize('size, arch, layer_scale', [('vitb', 'base', 0.1), ('vitl', 'large', 1e-5)])
def test_the_recipe_is_the_official_one(size, arch, layer_scale):
    design = dict(like='beit', layer_scale=layer_scale)
    check_recipe(load(size), {**RECIPE, 'model.vit.arch': arch, 'model.vit.design': design})
    assert built(size).vit.design.layer_scale == layer_scale


@pytest.mark.parametrize('size, parameters', [('vitb', 91_965_776), ('vitl', 311_534_016)])
def test_the_model_has_the_official_number_of_parameters(size, parameters):
    """n_parameters of the official log of ViT-B (microsoft/unilm#383). No log of ViT-L is published: it is counted."""
    width, depth, heads = (768, 12, 12) if size == 'vitb' else (1024, 24, 16)
    block = 12 * width**2 + (4 + 2 + 1 + 4 + 1 + 2) * width  # norms, q and v bias, other biases, layer scale
    table, head = ((2 * 14 - 1) ** 2 + 3) * heads, (width + 1) * 8192
    counted = depth * block + (16 * 16 * 3 + 1) * width + 2 * width + 2 * width + table + head
    trained = sum(parameter.numel() for parameter in built(size).parameters() if parameter.requires_grad)
    assert trained == counted == parameters


@every_size
def test_75_of_196_patches_are_masked(size):
    model = built(size)
    assert model.vit.grid == (14, 14) and 196 - model.masking.num_kept((14, 14)) == 75
    assert model.target.token_image_size((224, 224), 16) == [112, 112] and model.lm_head.out_features == 8192


@every_size
def test_weight_decay_is_the_official_one(size):
    """optim_factory.py: none for one dimension, for biases, and for the class token, which modeling_pretrain.py names;
    the mask token, the head's weight and the table of relative positions have it."""
    cfg, model = load(size), built(size)
    groups = parameter_groups(model, lr=1.0, weight_decay=0.05, **cfg.optim_wrapper.paramwise_cfg)
    assert {group['lr'] for group in groups} == {1.0}
    decay = {name: group['weight_decay'] for group in groups for name in group['param_names']}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert name.startswith('target.tokenizer.') and name not in decay
            continue
        none = parameter.ndim == 1 or name.endswith('.bias') or name == 'vit.cls_token'
        assert decay[name] == (0.0 if none else 0.05), name
    assert decay['mask_token'] == decay['lm_head.weight'] == decay['vit.rel_pos_global'] == 0.05
    assert decay['vit.blocks.0.ls1.gamma'] == decay['vit.blocks.0.attn.q_bias'] == 0.0


@every_size
@pytest.mark.parametrize('gpus', [8, 16, 32])
def test_the_run_on_any_number_of_gpus(size, gpus, tmp_path):
    cfg = load(size)
    runner = start(cfg, tmp_path, gpus, images=2048 * 2)
    assert runner.accumulation == 2048 // (gpus * cfg.train_dataloader.batch_size)
    assert runner.param_schedulers[0].base_values == [pytest.approx(1.5e-3)]
    assert runner.train_loop.max_iters == 800 * 2 * runner.accumulation


def test_the_schedule_differs_from_the_official_one_by_one_step_of_the_warm_up():
    """utils.py: the warm-up is linspace(0, rate, steps), which ends at the full rate; our cosine begins with it."""
    steps, lr, low = 625, 1.5e-3, 1e-5
    warmup = np.linspace(0, lr, 10 * steps)
    cosine = low + 0.5 * (lr - low) * (1 + np.cos(np.pi * np.arange(790 * steps) / (790 * steps)))
    for step in (0, 1, 3000, 6249, 6250, 6251, 100_000, 499_999):
        factor = warmup_cosine(step / steps, 10, 800)
        found = lr * factor if step < 6250 else low + (lr - low) * factor
        official = warmup[step] if step < 6250 else cosine[step - 6250]
        assert found == pytest.approx(official, abs=lr / 6250 if step < 6250 else 1e-12)


@every_size
def test_everything_follows_the_data_root_the_image_size_and_the_tokenizer(size):
    cfg = change_settings(
        load(size), ['data_root=elsewhere', 'image_size=112', 'tokenizer=here.pkl', 'layer_scale=.5', 'arch=small']
    )
    assert cfg.model.vit.img_size == 112 and cfg.model.target.tokenizer.checkpoint == 'here.pkl'
    assert cfg.model.vit.design.layer_scale == 0.5 and cfg.model.vit.arch == 'small'
    for name in LOADERS:
        assert (cfg[name].dataset.data_root, cfg[name].dataset.img_size) == ('elsewhere', 112)


def test_the_small_config_has_the_size_of_the_small_mae_and_its_tokenizer():
    own, other = (recipes.load(f'small/{name}_pretrain_tin20') for name in ('beit', 'mae'))
    for name in ('arch', 'patch_size', 'img_size'):
        assert own.model.vit[name] == other.model.vit[name]
    tokenizer = recipes.load('small/tokenizer_dvae_tin20').model
    sizes = {name: value for name, value in own.model.target.tokenizer.items() if name in tokenizer}
    assert sizes == {name: tokenizer[name] for name in ('type', 'vocab_size', 'width', 'code_dim', 'num_blocks')}
    model = MODELS.build(own.model)
    size = model.target.token_image_size((64, 64), 8)
    assert size == [64, 64] and {own[name].dataset.token_scale for name in LOADERS} == {1.0}
    assert model.masking.num_kept(model.vit.grid) == 39  # 25 of 64 masked, as 75 of 196
    decayed = own.optim_wrapper.paramwise_cfg == recipes.load('beit_pretrain_vitb').optim_wrapper.paramwise_cfg
    assert decayed and own.optim_wrapper.clip_grad.max_norm == 3.0


@every_size
def test_the_docstring_names_recipe_result_and_command(size):
    text = (CONFIGS / f'beit_pretrain_{size}.py').read_text()
    for part in (
        'Recipe: ',
        'Reported: ',
        '(quoted: ',
        f'Train: tools/dist_train.sh configs/beit_pretrain_{size}.py 8',
        f'tools/test.py configs/beit_pretrain_{size}.py work_dirs/beit_pretrain_{size}',
    ):
        assert part in text


def test_a_task_that_starts_as_the_docstrings_say_has_the_statistics_of_the_pretraining():
    """Those of the official weights, pre-trained on ImageNet-22k, are others."""
    options = {
        name: (CONFIGS / f'{name}.py').read_text().partition('pretrained=')[2].splitlines()[0].split()[1:]
        for name in ('beit_pretrain_vitb', 'beit_pretrain_vitl', 'small/beit_pretrain_tin20')
    }
    own = MODELS.build(load('vitb').model.data_preprocessor)
    for arguments in options.values():
        assert arguments
        cfg = recipes.read_config(CONFIGS / 'in1k_finetune_vitb.py', arguments)
        assert cfg.model.vit.rel_pos == 'table' and cfg.model.vit.design == 'beit'
        for name in ('mean', 'std'):
            assert tuple(cfg[name]) == pytest.approx(getattr(own, name).flatten().tolist())
