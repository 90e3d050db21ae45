"""The pre-training configs: MAE's Table 8, for B, L and H on any number of GPUs."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.optim.batch_plan import plan_of
from mae_transfer.optim.layer_decay import parameter_groups
from mae_transfer.registry import MODELS
from mae_transfer.settings import change_settings
from tests.configs import recipes
from tests.configs.recipes import CONFIGS, LOADERS, check_recipe, start

SIZES = ['vitb', 'vitl', 'vith']
every_size = pytest.mark.parametrize('size', SIZES)


def load(size: str):
    return recipes.load(f'mae_pretrain_{size}')


@cache
def built(size: str):
    """The model of a config, without memory for its weights."""
    with torch.device('meta'):
        return MODELS.build(load(size).model)


# What the config states, for all three sizes. Sources: paper, Table 8 and App. A.1; official main_pretrain.py. The
# schedule is tested at every iteration, in test_schedules.py.
RECIPE = {
    'base_lr': 1.5e-4,
    'total_batch_size': 4096,
    'train_cfg.type': 'EpochBasedTrainLoop',
    'train_cfg.max_epochs': 1600,
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.05, fused=True),
    'optim_wrapper.paramwise_cfg': dict(layer_decay=1.0, no_decay_names=()),
    'optim_wrapper.clip_grad': None,
    'optim_wrapper.dtype': 'bfloat16',
    'model.masking': dict(type='RandomMasking', ratio=0.75),
    'model.decoder': dict(type='MAEDecoder', embed_dim=512, depth=8, num_heads=16),
    'model.target': dict(type='NormalizedPixelTarget'),
    'model.vit.img_size': 224,
    'model.data_preprocessor': dict(
        type='PhotoPreprocessor', mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
    ),
    'model.vit.drop_path_rate': None,
    'train_dataloader.dataset': dict(
        type='Photos',
        data_root='data/imagenet',
        split='train',
        img_size=224,
        scale=(0.2, 1.0),
        bands='RGB',
        exif_orientation=False,
    ),
    'train_dataloader.drop_last': True,
    'train_dataloader.sampler.shuffle': True,
    'val_dataloader.dataset.split': 'val',
    'val_dataloader.dataset.img_size': 224,
    'test_dataloader.dataset.split': 'val',
    'test_dataloader.dataset.img_size': 224,
}


@pytest.mark.parametrize('size, arch, batch', [('vitb', 'base', 64), ('vitl', 'large', 64), ('vith', 'huge', 32)])
def test_the_recipe_is_that_of_the_paper(size, arch, batch):
    check_recipe(load(size), {**RECIPE, 'model.vit.arch': arch, 'train_dataloader.batch_size': batch})


@pytest.mark.parametrize(
    'size, width, depth, heads, patch, grid, millions',
    [
        ('vitb', 768, 12, 12, 16, (14, 14), 111.91),
        ('vitl', 1024, 24, 16, 16, (14, 14), 329.54),
        ('vith', 1280, 32, 16, 14, (16, 16), 657.07),
    ],
)
def test_the_model_has_the_published_size(size, width, depth, heads, patch, grid, millions):
    model = built(size)
    vit = model.vit
    assert (vit.embed_dim, vit.depth, vit.size.num_heads, vit.patch_size, vit.grid) == (
        width,
        depth,
        heads,
        patch,
        grid,
    )
    # With the fixed position tables, as mmpretrain counts.
    assert sum(parameter.numel() for parameter in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@every_size
def test_three_quarters_of_the_patches_are_hidden(size):
    grid = built(size).vit.grid
    assert built(size).masking.num_kept(grid) == grid[0] * grid[1] // 4


@every_size
def test_position_tables_are_fixed(size):
    fixed = {name for name, parameter in built(size).named_parameters() if not parameter.requires_grad}
    assert fixed == {'vit.pos_embed', 'decoder.pos_embed'}


@every_size
def test_class_and_mask_token_are_decayed_biases_and_norms_are_not(size):
    cfg = load(size)
    decay = {
        name: group['weight_decay']
        for group in parameter_groups(
            built(size),
            lr=1.0,
            weight_decay=cfg.optim_wrapper.optimizer.weight_decay,
            **cfg.optim_wrapper.paramwise_cfg,
        )
        for name in group['param_names']
    }
    assert decay['vit.cls_token'] == decay['decoder.mask_token'] == decay['vit.blocks.0.attn.qkv.weight'] == 0.05
    assert {value for name, value in decay.items() if name.endswith('.bias') or '.norm' in name} == {0.0}


@every_size
@pytest.mark.parametrize('gpus', [8, 16, 64])
def test_the_papers_run_on_any_number_of_gpus(size, gpus, tmp_path):
    cfg = load(size)
    runner = start(cfg, tmp_path, gpus, images=4096 * 2)
    accumulation = 4096 // (gpus * cfg.train_dataloader.batch_size)
    assert runner.optim_wrapper._accumulative_counts == runner.param_schedulers[0].accumulation == accumulation
    assert runner.param_schedulers[0].base_values == [pytest.approx(2.4e-3)]
    assert runner.train_loop.max_epochs == 1600 and runner.train_loop.max_iters == 1600 * 2 * accumulation


@every_size
def test_a_number_of_gpus_that_cannot_share_the_batch_is_refused(size):
    with pytest.raises(UserError, match='total_batch_size 4096 cannot be made of 7 processes x .*: choose'):
        plan_of(load(size), 7)


@every_size
def test_everything_follows_the_data_root_and_the_image_size(size):
    cfg = change_settings(load(size), ['data_root=elsewhere', 'image_size=112'])
    assert cfg.model.vit.img_size == 112
    for name in LOADERS:
        assert (cfg[name].dataset.data_root, cfg[name].dataset.img_size) == ('elsewhere', 112)


@every_size
def test_validations_checkpoints_and_pictures_follow_the_length(size):
    for epochs, validations, checkpoints in ((1600, 100, 20), (160, 10, 2), (8, 1, 1)):
        cfg = change_settings(load(size), [f'max_epochs={epochs}', 'warmup=1'])
        assert cfg.train_cfg.max_epochs == epochs and cfg.train_cfg.val_interval == validations
        assert cfg.default_hooks.reconstructions.interval == validations
        assert cfg.default_hooks.checkpoint.interval == checkpoints


@every_size
def test_the_docstring_names_recipe_result_and_command(size):
    text = (CONFIGS / f'mae_pretrain_{size}.py').read_text()
    for part in (
        'Recipe: MAE Table 8',
        'Reported: ',
        '(quoted: ',
        f'Train: tools/dist_train.sh configs/mae_pretrain_{size}.py 8',
        f'tools/test.py configs/mae_pretrain_{size}.py work_dirs/mae_pretrain_{size}',
    ):
        assert part in text
