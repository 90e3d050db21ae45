"""The pre-training configs: MAE's Table 8, for B, L and H on any number of GPUs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mae_transfer.errors import UserError
from mae_transfer.optim.batch_plan import apply_batch_plan
from mae_transfer.optim.layer_decay import parameter_groups
from mae_transfer.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'
SIZES = ['vitb', 'vitl', 'vith']
every_size = pytest.mark.parametrize('size', SIZES)


def load(size: str) -> Config:
    return Config.fromfile(CONFIGS / f'mae_pretrain_{size}.py')


@cache
def built(size: str):
    """The model of a config, without memory for its weights."""
    with torch.device('meta'):
        return MODELS.build(load(size).model)


# What the config states, for all three sizes. Sources: paper, Table 8 and App. A.1; official main_pretrain.py.
RECIPE = {
    'base_lr': 1.5e-4,
    'total_batch_size': 4096,
    'train_cfg.max_epochs': 1600,
    'optim_wrapper.optimizer.type': 'AdamW',
    'optim_wrapper.optimizer.betas': (0.9, 0.95),
    'optim_wrapper.optimizer.weight_decay': 0.05,
    'optim_wrapper.paramwise_cfg.no_decay': (),
    'optim_wrapper.paramwise_cfg.layer_decay': 1.0,
    'optim_wrapper.clip_grad': None,
    'optim_wrapper.dtype': 'bfloat16',
    'param_scheduler.0.type': 'WarmupCosineLR',
    'param_scheduler.0.warmup': 40,
    'param_scheduler.0.end': 1600,
    'param_scheduler.0.by_epoch': True,
    'param_scheduler.0.min_lr': None,
    'param_scheduler.1': None,
    'model.masking.type': 'RandomMasking',
    'model.masking.ratio': 0.75,
    'model.decoder.embed_dim': 512,
    'model.decoder.depth': 8,
    'model.decoder.num_heads': 16,
    'model.target.type': 'NormalizedPixelTarget',
    'model.vit.img_size': 224,
    'model.vit.drop_path_rate': None,
    'train_dataloader.dataset.img_size': None,  # the ViT's, by launch.share_img_size
    'train_dataloader.dataset.scale': (0.2, 1.0),
    'train_dataloader.dataset.split': 'train',
    'train_dataloader.drop_last': True,
    'train_dataloader.sampler.shuffle': True,
    'val_dataloader.dataset.split': 'val',
    'test_dataloader.dataset.split': 'val',
}


@every_size
@pytest.mark.parametrize('key, value', RECIPE.items())
def test_recipe(size, key, value):
    node = load(size)
    for part in key.split('.'):
        if isinstance(node, list):
            node = node[int(part)] if int(part) < len(node) else None
        else:
            node = node.get(part)
    assert node == value


@pytest.mark.parametrize(
    'size, width, depth, heads, patch, grid, millions',
    [
        ('vitb', 768, 12, 12, 16, (14, 14), 111.91),
        ('vitl', 1024, 24, 16, 16, (14, 14), 329.54),
        ('vith', 1280, 32, 16, 14, (16, 16), 657.07),
    ],
)
def test_model(size, width, depth, heads, patch, grid, millions):
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
def test_the_papers_run_on_any_number_of_gpus(size, gpus):
    cfg = load(size)
    plan = apply_batch_plan(cfg, gpus)
    assert plan.per_gpu == (32 if size == 'vith' else 64)
    assert plan.per_gpu * gpus * plan.accumulation == 4096
    assert cfg.optim_wrapper.accumulative_counts == cfg.param_scheduler[0].accumulation == plan.accumulation
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(2.4e-3)
    assert cfg.train_cfg.max_epochs == 1600


@every_size
def test_a_number_of_gpus_that_cannot_share_the_batch_is_refused(size):
    with pytest.raises(UserError, match='total_batch_size 4096 cannot be made of 7 processes x .*: choose'):
        apply_batch_plan(load(size), 7)


@every_size
def test_everything_reads_one_data_root(size):
    cfg = load(size)
    assert {cfg[f'{loader}_dataloader'].dataset.data_root for loader in ('train', 'val', 'test')} == {cfg.data_root}


@every_size
def test_the_docstring_names_recipe_result_and_command(size):
    text = (CONFIGS / f'mae_pretrain_{size}.py').read_text()
    for part in (
        'Recipe: MAE Table 8',
        'Known to reach: ',
        '(quoted: ',
        f'Command: tools/dist_train.sh configs/mae_pretrain_{size}.py 8',
    ):
        assert part in text
