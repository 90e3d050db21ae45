"""One option turns a transfer config to another start."""

from __future__ import annotations

import pytest
import torch

from mae_transfer.errors import UserError
from mae_transfer.registry import MODELS
from mae_transfer.settings import read_config
from mae_transfer.starts import STARTS, recipe, start, whole_patches
from mae_transfer.vit.design import resolve_design
from mae_transfer.vit.sizes import Size, resolve_size
from tests.configs.recipes import CONFIGS

TASKS = {
    'in1k_finetune_vitb': 'vit',
    'in1k_linprobe_vitb': 'vit',
    'in1k_knn_vitb': 'vit',
    'coco_maskrcnn_vitb': 'backbone',
    'coco_vitdet_vitb': 'backbone',
    'ade20k_upernet_vitb': 'backbone',
}


def load(name: str, **options):
    return read_config(CONFIGS / f'{name}.py', [f'{key}={value}' for key, value in options.items()])


def vit_of(name: str, **options):
    cfg = load(name, **options)
    vit = dict(cfg.model[TASKS.get(name, 'vit')])
    with torch.device('meta'):
        return cfg, MODELS.build(dict(vit, type='mae_transfer.ViT', init_cfg=None))


@pytest.mark.parametrize('init', STARTS)
@pytest.mark.parametrize('name', TASKS)
def test_every_start_fits_every_transfer_config(name, init):
    cfg, vit = vit_of(name, init=init)
    known = start(init)
    assert vit.size == resolve_size('base') and tuple(cfg.mean) == known.mean and tuple(cfg.std) == known.std
    wanted = resolve_design(known.windowed_design if vit.window_size else known.design)
    assert vit.design == wanted and vit.patch_size == (known.patch_size or 16)
    assert vit.grid[0] * vit.patch_size >= cfg.get('crop_size', (224,))[0]
    if known.rel_pos:
        assert vit.rel_pos == known.rel_pos
    elif wanted.rotary or resolve_design(known.design).registers:
        assert vit.rel_pos is None


@pytest.mark.parametrize(
    'init, size, patch, design',
    [
        ('mocov3_vits16', Size(384, 12, 12), 16, None),
        ('deit_vits16', Size(384, 12, 6), 16, None),
        ('dinov2_vitl14', Size(1024, 24, 16), 14, 'dinov2'),
        ('dinov2_vitg14', Size(1536, 40, 24, 14, 8 / 3), 14, dict(like='dinov2', mlp='swiglu')),
        ('dinov3_vith16', Size(1280, 32, 20), 16, dict(like='dinov3', mlp='swiglu')),
        ('eva02_vits14', Size(384, 12, 6, 14, 8 / 3), 14, 'eva02'),
        ('eva02_vitl14', Size(1024, 24, 16, 14, 8 / 3), 14, dict(like='eva02', mlp_norm=True)),
        ('sam_vith16', Size(1280, 32, 16, 14), 16, None),
    ],
)
def test_a_start_with_a_size(init, size, patch, design):
    letter = init.partition('_vit')[2][0]
    cfg, vit = vit_of(f'in1k_linprobe_vit{letter if letter in "lh" else "b"}', init=init)
    assert (vit.size, vit.patch_size, vit.design) == (size, patch, resolve_design(design))
    assert vit.grid == (224 // patch,) * 2


def test_windows_leave_registers_out():
    assert vit_of('coco_vitdet_vitb', init='dinov3')[1].design.registers == 0
    assert vit_of('ade20k_upernet_vitb', init='dinov3')[1].design.registers == 4


def test_the_published_settings_follow():
    assert load('coco_maskrcnn_vitb').base_lr == 3.2e-4
    assert load('coco_maskrcnn_vitb', init='mocov3').base_lr * 64 / 256 == 1.6e-4
    cfg = load('coco_maskrcnn_vitb', init='random', pretrained='none')
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.2 and cfg.base_lr * 64 / 256 == 1.6e-4
    cfg = load('ade20k_upernet_vitb', init='beit_vitb16')
    assert cfg.base_lr * 16 / 256 == pytest.approx(7e-4) and cfg.optim_wrapper.paramwise_cfg.layer_decay == 0.65
    cfg = load('in1k_finetune_vitb', init='beit')
    assert cfg.base_lr * 1024 / 256 == 4e-3 and cfg.param_scheduler[0].warmup == 20
    assert recipe('dinov3', 'base', 'ade20k_upernet.base_lr', 1.0) == 1.0


def test_images_are_padded_to_whole_patches():
    assert whole_patches((512, 500), 14) == (518, 504) and whole_patches(512, 16) == (512, 512)
    cfg, vit = vit_of('ade20k_upernet_vitb', init='dinov2')
    assert vit.grid == (37, 37) and cfg.model.data_preprocessor.size == (512, 512)


def test_a_size_needs_its_own_recipe():
    with pytest.raises(UserError, match="is of size 'base', this config's recipe is for 'large'"):
        load('coco_vitdet_vitl', init='dinov3_vitb16')
    assert load('in1k_finetune_vitb', init='mocov3_vits16').model.vit.arch['num_heads'] == 12
    assert load('small/finetune_tin20', init='beit_vitb16').model.vit.arch == 'base'


@pytest.mark.parametrize(
    'init, words',
    [
        ('dino', "unknown init 'dino': choose one of mae, .* or with a size, as in beit_vitb16"),
        ('dinov3_vitx16', "init 'dinov3_vitx16' names no size: write dinov3_vitb16"),
        ('clip_vitg14', "init 'clip_vitg14' names no size"),
        (3, "unknown init '3'"),
    ],
)
def test_an_unknown_start_is_refused(init, words):
    with pytest.raises(UserError, match=words):
        start(init)
