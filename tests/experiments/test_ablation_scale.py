"""Scaled rows: which settings come from the scale, which from the row, and which are scaled."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mae_transfer.compat.package_configs import CONFIGS
from mae_transfer.errors import UserError
from mae_transfer.experiments.ablation_scale import make_scale, scale_decoder, scale_row
from mae_transfer.settings import change_settings, read_config
from mae_transfer.vit.sizes import Size

ABLATIONS = CONFIGS / 'ablations'
SCALE = CONFIGS / 'small' / 'mae_pretrain_tin20.py'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


@pytest.fixture
def scale():
    return make_scale(read_config(SCALE), data_root='photos')


def scaled(scale, name: str) -> Config:
    tokenizer = dict(type='DVAE', vocab_size=64, checkpoint='here')
    return scale_row(read_config(ABLATIONS / f'{name}.py'), scale, tokenizer)


@pytest.mark.parametrize(
    'embed_dim, width, expected',
    [
        (128, 512, (64, 2)),
        (128, 128, (16, 1)),
        (128, 256, (32, 1)),
        (128, 768, (96, 3)),
        (128, 1024, (128, 4)),
        (1024, 512, (512, 16)),
        (192, 768, (144, 4)),
        (16, 128, (4, 1)),
        (400, 256, (100, 2)),
    ],
)
def test_the_decoder_is_scaled_with_the_width_of_the_vit(embed_dim, width, expected):
    size = scale_decoder(width, Size(embed_dim, 1, 1))
    assert (size['embed_dim'], size['num_heads']) == expected


@pytest.mark.parametrize(
    'name, model, dataset',
    [
        ('table1a_decoder_depth_12', dict(decoder=dict(type='MAEDecoder', depth=12, embed_dim=64, num_heads=2)), {}),
        ('table1b_decoder_width_1024', dict(decoder=dict(type='MAEDecoder', depth=8, embed_dim=128, num_heads=4)), {}),
        ('table1c_encoder_with_mask_tokens', dict(encoder_mask_tokens=True, target=dict(type='PixelTarget')), {}),
        ('table1d_target_normalized_pixel', dict(target=dict(type='NormalizedPixelTarget')), {}),
        ('table1d_target_pca', dict(target=dict(type='PCATarget', components=24)), {}),  # 96 of 768 are 24 of 192
        (
            'table1d_target_dvae_token',
            dict(target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', vocab_size=64, checkpoint='here'))),
            {},
        ),
        ('table1e_augmentation_none', dict(masking=dict(type='RandomMasking', ratio=0.75)), dict(augment='none')),
        ('table1e_augmentation_color_jitter', {}, dict(color_jitter=(0.4, 0.4, 0.2, 0.1))),
        ('table1f_masking_block_50', dict(masking=dict(type='BlockMasking', ratio=0.5)), {}),
        ('fig5_mask_ratio_10', dict(masking=dict(type='RandomMasking', ratio=0.1)), {}),
        ('table2_vith_decoder_1', dict(decoder=dict(type='MAEDecoder', depth=1, embed_dim=64, num_heads=2)), {}),
    ],
)
def test_a_scaled_row_keeps_the_setting_that_it_varies(name, model, dataset, scale):
    cfg = scaled(scale, name)
    assert {key: cfg.model.to_dict()[key] for key in model} == model
    vit = dict(type='ViT', in_channels=3, init_cfg=dict(type='Pretrained', checkpoint='none'))
    vit |= dict(design=None, rotary_img_size=None)
    assert cfg.model.vit.to_dict() == dict(vit, arch='128x6x4', img_size=64, patch_size=8)
    photos = dict(type='Photos', data_root='photos', split='train', img_size=64, bands='RGB', exif_orientation=False)
    assert cfg.train_dataloader.dataset.to_dict() == dict(photos, scale=(0.2, 1.0), **dataset)
    for key in ('base_lr', 'total_batch_size', 'train_cfg', 'param_scheduler', 'optim_wrapper', 'val_dataloader'):
        assert cfg[key] == scale[key]
    assert 'published' not in cfg


@pytest.mark.parametrize(
    'one, other, same',
    [
        ('table1a_decoder_depth_8', 'fig5_mask_ratio_75', True),
        ('table1c_encoder_without_mask_tokens', 'table1e_augmentation_random_size', True),
        ('table2_vith_decoder_1', 'table1a_decoder_depth_1', True),
        ('table1f_masking_block_75', 'table1f_masking_grid_75', False),
    ],
)
def test_rows_with_the_same_settings_are_the_same_when_scaled(one, other, same, scale):
    assert (scaled(scale, one).to_dict() == scaled(scale, other).to_dict()) == same


def test_named_settings_of_a_scaled_row_can_still_be_changed(scale):
    cfg = change_settings(scaled(scale, 'table1d_target_pca'), ['image_size=32', 'data_root=others', 'max_epochs=90'])
    assert cfg.model.vit.img_size == 32 and cfg.train_cfg.max_epochs == 90
    assert cfg.train_cfg.val_interval == cfg.default_hooks.checkpoint.interval == 10
    for loader in LOADERS:
        assert cfg[loader].dataset.img_size == 32 and cfg[loader].dataset.data_root == 'others'


def test_a_scale_without_changes_is_the_config_itself():
    assert make_scale(read_config(SCALE)).to_dict() == read_config(SCALE).to_dict()


def test_a_scale_has_the_given_sizes():
    cfg = make_scale(read_config(SCALE), 'small', 96, 12, 9, 32, 1e-3, 'photos')
    vit = dict(type='ViT', in_channels=3, init_cfg=dict(type='Pretrained', checkpoint='none'))
    vit |= dict(design=None, rotary_img_size=None)
    assert cfg.model.vit.to_dict() == dict(vit, arch='small', img_size=96, patch_size=12)
    assert cfg.train_cfg.max_epochs == 9 and cfg.param_scheduler[0].warmup == pytest.approx(0.4)
    assert cfg.total_batch_size == cfg.train_dataloader.batch_size == 32 and cfg.base_lr == 1e-3
    assert {(cfg[loader].dataset.data_root, cfg[loader].dataset.img_size) for loader in LOADERS} == {('photos', 96)}


def test_a_scale_states_the_patch_size_of_its_arch():
    cfg = make_scale(read_config(CONFIGS / 'mae_pretrain_vitb.py'), arch='huge')
    assert cfg.model.vit.patch_size == 14


@pytest.mark.parametrize(
    'epochs, published, expected', [(80, 100, 10), (80, 1600, 160), (4, 1600, 8), (4, 100, 1), (7, 800, 7)]
)
def test_epochs_are_scaled_as_the_800_of_the_baseline(epochs, published, expected):
    scale = make_scale(read_config(SCALE), max_epochs=epochs)
    cfg = scaled(scale, f'fig7_epochs_{published}')
    assert cfg.train_cfg.max_epochs == expected and cfg.train_cfg.val_interval == max(1, expected // 9)
    assert cfg.param_scheduler[0].warmup == scale.param_scheduler[0].warmup == pytest.approx(2 * epochs / 45)
    assert scale.train_cfg.max_epochs == epochs


def test_a_hook_that_is_missing_in_the_scale_comes_from_the_row(scale):
    row = read_config(ABLATIONS / 'table1d_target_pca.py')
    row.default_hooks.step_guard.most = 5
    scale.default_hooks.step_guard.most = 7
    del scale.default_hooks['fit_target']
    scale.default_hooks.skipped_images = None
    hooks = scale_row(row, scale).default_hooks
    assert hooks.fit_target == dict(type='FitTargetHook')
    assert hooks.step_guard.most == 7 and hooks.skipped_images is None


def test_parts_are_recognised_by_their_class(scale):
    row = read_config(ABLATIONS / 'table1d_target_pca.py')
    row.model.target = dict(type='mae_transfer.PCATarget')  # 96 components by default, as in the paper
    assert scale_row(row, scale).model.target == dict(type='mae_transfer.PCATarget', components=24)
    row.model.target = dict(type='TokenTarget', tokenizer=dict(type='mae_transfer.DVAE'))
    assert scale_row(row, scale, dict(type='DVAE', width=4)).model.target.tokenizer == dict(type='DVAE', width=4)
    row.model.target = dict(type='TokenTarget', tokenizer=dict(type='DALLEEncoder'))
    assert scale_row(row, scale, dict(type='DVAE', width=4)).model.target.tokenizer == dict(type='DALLEEncoder')


def test_a_scale_must_be_the_config_of_a_pretraining():
    with pytest.raises(UserError, match='finetune_tin20.py is not a pre-training config: its model is not an MAE'):
        make_scale(read_config(CONFIGS / 'small' / 'finetune_tin20.py'))


def test_a_scale_must_have_the_named_settings():
    cfg = Config({key: value for key, value in read_config(SCALE).items() if key != 'warmup'})
    with pytest.raises(UserError, match="has no 'warmup': base it on configs/_base_/mae_pretrain.py"):
        make_scale(cfg)
