"""The configs of MoCo v3: the official recipe, for S, B and L on any number of GPUs."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from mae_transfer.checks import check_batch_norm
from mae_transfer.errors import UserError
from mae_transfer.optim.layer_decay import parameter_groups
from mae_transfer.registry import MODELS
from mae_transfer.settings import change_settings
from tests.configs import recipes
from tests.configs.recipes import CONFIGS, LOADERS, check_recipe, start

SIZES = ['vits', 'vitb', 'vitl']
every_size = pytest.mark.parametrize('size', SIZES)


def load(size: str):
    return recipes.load(f'mocov3_pretrain_{size}')


@cache
def built(size: str):
    """The model of a config, without memory for its weights."""
    with torch.device('meta'):
        return MODELS.build(load(size).model)


#: Sources: official CONFIG.md, for S and B, and the defaults of main_moco.py. The schedule is tested at every iteration
#: in test_schedules.py, the momentum in tests/hooks.
RECIPE = {
    'base_lr': 1.5e-4,
    'total_batch_size': 4096,
    'train_cfg.max_epochs': 300,
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.1, fused=True),
    'optim_wrapper.clip_grad': None,
    'model.type': 'MoCoV3',
    'model.hidden_dim': 4096,
    'model.out_dim': 256,
    'model.temperature': 0.2,
    'model.freeze_patch_embed': None,  # the default, yes
    'model.vit.img_size': 224,
    'model.vit.drop_path_rate': None,
    'default_hooks.momentum': dict(type='MomentumHook', start=0.99),
    'train_dataloader.dataset': dict(
        type='PhotoPairs',
        data_root='data/imagenet',
        split='train',
        img_size=224,
        scale=(0.08, 1.0),
        bands='RGB',
        exif_orientation=False,
    ),
    'train_dataloader.drop_last': True,
    'train_dataloader.sampler.shuffle': True,
    'val_dataloader.dataset.type': 'PhotoPairs',
    'val_dataloader.dataset.split': 'val',
    'val_evaluator': dict(type='ViewMatching', temperature=0.2),
    'test_evaluator': dict(type='ViewMatching', temperature=0.2),
}


@pytest.mark.parametrize('size, arch, batch', [('vits', '384x12x12', 128), ('vitb', 'base', 64), ('vitl', 'large', 64)])
def test_the_recipe_is_the_official_one(size, arch, batch):
    check_recipe(load(size), {**RECIPE, 'model.vit.arch': arch, 'train_dataloader.batch_size': batch})


@pytest.mark.parametrize('size, heads, millions', [('vits', 12, 21.67), ('vitb', 12, 85.80), ('vitl', 16, 303.30)])
def test_the_vit_has_the_published_size(size, heads, millions):
    vit = built(size).vit
    assert vit.size.num_heads == heads and vit.patch_size == 16
    assert sum(parameter.numel() for parameter in vit.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


@every_size
def test_everything_that_is_trained_is_decayed(size):
    cfg, model = load(size), built(size)
    groups = parameter_groups(model, lr=1.0, weight_decay=0.1, **cfg.optim_wrapper.paramwise_cfg)
    assert {group['weight_decay'] for group in groups} == {0.1}
    trained = {name for group in groups for name in group['param_names']}
    assert {name for name, _ in model.named_parameters()} - trained == {
        'vit.pos_embed',
        'vit.patch_embed.proj.weight',
        'vit.patch_embed.proj.bias',
        *(name for name, _ in model.named_parameters() if name.startswith('momentum_')),
    }


@every_size
@pytest.mark.parametrize('gpus', [8, 32])
def test_the_run_on_any_number_of_gpus(size, gpus, tmp_path):
    cfg = load(size)
    runner = start(cfg, tmp_path, gpus, images=4096 * 2)
    assert runner.accumulation == 4096 // (gpus * cfg.train_dataloader.batch_size)
    assert runner.param_schedulers[0].base_values == [pytest.approx(2.4e-3)]
    assert runner.train_loop.max_iters == 300 * 2 * runner.accumulation


@every_size
def test_everything_follows_the_data_root_the_image_size_and_the_temperature(size):
    cfg = change_settings(load(size), ['data_root=elsewhere', 'image_size=112', 'model.temperature=.5'])
    assert cfg.model.vit.img_size == 112 and cfg.val_evaluator.temperature == cfg.test_evaluator.temperature == 0.5
    for name in LOADERS:
        assert (cfg[name].dataset.data_root, cfg[name].dataset.img_size) == ('elsewhere', 112)


def test_the_small_config_has_the_vit_of_the_small_mae():
    own, other = (recipes.load(f'small/{name}_pretrain_tin20') for name in ('mocov3', 'mae'))
    assert all(other.model.vit[name] == value for name, value in own.model.vit.items())
    assert own.model.vit.patch_size == 8 and own.image_size == other.image_size
    for name in LOADERS:
        assert own[name].dataset.blur == (0.1, 0.6) and own[name].dataset.scale == (0.2, 1.0)


@pytest.mark.parametrize('batch, fits', [(1, False), (2, True)])
def test_one_photo_in_a_batch_is_compared_with_none(batch, fits):
    cfg = change_settings(load('vitb'), [f'train_dataloader.batch_size={batch}'])
    if fits:
        return check_batch_norm(cfg, 8)
    with pytest.raises(UserError, match='choose train_dataloader.batch_size=2 or more; found 1'):
        check_batch_norm(cfg, 8)


@every_size
def test_the_docstring_names_recipe_result_and_command(size):
    text = (CONFIGS / f'mocov3_pretrain_{size}.py').read_text()
    for part in (
        'Recipe: ',
        'Reported: ',
        '(quoted: ',
        f'Train: tools/dist_train.sh configs/mocov3_pretrain_{size}.py 8',
        f'tools/test.py configs/mocov3_pretrain_{size}.py work_dirs/mocov3_pretrain_{size}',
    ):
        assert part in text
    at_once = 8 * load(size).train_dataloader.batch_size
    assert f'On 8 GPUs each photo is compared with {at_once}' in text
