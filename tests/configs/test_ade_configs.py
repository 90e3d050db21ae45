"""The ADE20K configs: their recipes, and each of them run on tiny data through its own pipelines, model and optimiser.

Where a test runs a config, sizes alone are reduced (:func:`reduced`): what is built, and how it is joined, is the
config's.
"""

import cv2
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.structures import PixelData

from mae_transfer.dense import heads
from mae_transfer.dense.resized_cross_entropy import resized_cross_entropy
from mae_transfer.dense.views import average_views
from mae_transfer.runner import StrictRunner
from mae_transfer.settings import change_settings
from mae_transfer.vit import ViT
from mae_transfer.vit.sizes import resolve_size
from tests.configs.dense import (
    build,
    build_model,
    check_that_paths_follow,
    draw,
    dtypes_of,
    first_batch,
    judge_one_image,
    official_file,
    reduce,
    train_one_step,
)
from tests.configs.recipes import LOADERS, check_recipe, load

ADE = [f'ade20k_upernet_vit{size}{crop}' for size in 'blh' for crop in ('', '_640')]
B = ADE[0]


def reduced(name, root, pretrained='none', **settings):
    """The config with crops of 64 in place of 512, of 96 in place of 640, and all that follows them."""
    crop = (96, 96) if name.endswith('640') else (64, 64)
    settings = {key.replace('__', '.'): value for key, value in settings.items()}
    return reduce(name, root, pretrained, {'crop_size': crop, 'model.auxiliary_head.channels': 16, **settings})


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Two images to train and one to judge; the one to judge is too flat for its short side to reach the crop."""
    root = tmp_path_factory.mktemp('ade')
    for split, sizes in [('training', [(90, 70), (61, 103)]), ('validation', [(30, 151)])]:
        for i, (height, width) in enumerate(sizes):
            draw(root / 'images' / split / f'{i}.jpg', height, width)
            draw(root / 'annotations' / split / f'{i}.png', height, width, channels=1, high=151)
    return f'{root}/'


@pytest.fixture(autouse=True)
def mmseg_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


# --- the recipes ------------------------------------------------------------------------------------------------------
SYNC_BN = dict(type='SyncBN', requires_grad=True)
# implus/mae_segmentation and MMSegmentation's configs/mae, which agree; the schedule is tested in test_schedules.py.
RECIPE = {
    'total_batch_size': 16,
    'base_lr': 1e-4 * 256 / 16,  # 1e-4 at a batch of 16
    'train_cfg.type': 'mae_transfer.IterBasedTrainLoop',
    'train_cfg.max_iters': 160000,
    'optim_wrapper.type': 'mae_transfer.AutocastOptimWrapper',
    'optim_wrapper.dtype': 'bfloat16',
    'optim_wrapper.clip_grad': None,
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    'model.backbone.patch_size': 16,
    'model.backbone.class_token': True,
    'model.backbone.learn_positions': True,
    'model.backbone.rel_pos': 'table',
    'model.backbone.final_norm': False,
    'model.neck.type': 'mae_transfer.ViTFPN',
    'model.neck.out_channels': None,
    'model.neck.scale_norm_cfg': SYNC_BN,
    'model.decode_head.type': 'mae_transfer.UPerHead',
    'model.decode_head.num_classes': 150,
    'model.decode_head.norm_cfg': SYNC_BN,
    'model.decode_head.loss_decode.loss_weight': 1.0,
    'model.auxiliary_head.type': 'mae_transfer.FCNHead',
    'model.auxiliary_head.in_index': 2,
    'model.auxiliary_head.channels': 256,
    'model.auxiliary_head.num_classes': 150,
    'model.auxiliary_head.norm_cfg': SYNC_BN,
    'model.auxiliary_head.loss_decode.loss_weight': 0.4,
    'tta': dict(scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75), flip=True),
}


def sizes_of(arch: str, decay: float, drop_path: float) -> dict:
    """What the ViT's size decides; heads are as wide as the ViT."""
    width = resolve_size(arch).embed_dim
    return {
        'model.backbone.arch': arch,
        'model.backbone.drop_path_rate': drop_path,
        'model.neck.embed_dim': width,
        'model.decode_head.in_channels': [width] * 4,
        'model.decode_head.channels': width,
        'model.auxiliary_head.in_channels': width,
        'optim_wrapper.paramwise_cfg': dict(layer_decay=decay),
    }


def crops_of(scale: tuple[int, int], stride: int) -> dict:
    """What the crop decides."""
    crop = (scale[1], scale[1])
    test_pipeline = [
        dict(type='LoadImageFromFile', color_type='color'),
        dict(type='Resize', scale=scale, keep_ratio=True),
        dict(type='mae_transfer.LoadLabels'),
        dict(type='PackSegInputs'),
    ]
    return {
        'model.backbone.img_size': crop,
        'model.data_preprocessor.size': crop,
        'model.data_preprocessor.mean': (123.675, 116.28, 103.53),
        'model.data_preprocessor.std': (58.395, 57.12, 57.375),
        'model.data_preprocessor.bgr_to_rgb': True,
        'model.test_cfg': dict(mode='slide', crop_size=crop, stride=(stride, stride)),
        'train_dataloader.dataset.pipeline': [
            dict(type='LoadImageFromFile', color_type='color'),
            dict(type='mae_transfer.LoadLabels'),
            dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type='RandomCrop', crop_size=crop, cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
        ],
        'val_dataloader.dataset.pipeline': test_pipeline,
        'test_dataloader.dataset.pipeline': test_pipeline,
    }


@pytest.mark.parametrize('crop, scale, stride', [('', (2048, 512), 341), ('_640', (2560, 640), 426)])
@pytest.mark.parametrize(
    'size, arch, decay, drop_path', [('b', 'base', 0.65, 0.1), ('l', 'large', 0.8, 0.2), ('h', 'huge', 0.85, 0.3)]
)
def test_the_recipe_is_the_published_one(size, arch, decay, drop_path, crop, scale, stride):
    cfg = load(f'ade20k_upernet_vit{size}{crop}')
    check_recipe(cfg, {**RECIPE, **sizes_of(arch, decay, drop_path), **crops_of(scale, stride)})


@pytest.mark.parametrize(
    'name, taps',
    [(B, (3, 5, 7, 11)), ('ade20k_upernet_vitl', (7, 11, 15, 23)), ('ade20k_upernet_vith', (10, 15, 20, 31))],
)
def test_the_taps_are_after_a_third_a_half_two_thirds_and_all_of_the_blocks(name, taps):
    vit = load(name).model.backbone
    with torch.device('meta'):
        assert ViT(vit.arch, 64, 16, out_indices=vit.out_indices).out_indices == taps


@pytest.mark.parametrize('name', ADE)
def test_paths_follow_data_root_and_pretrained(name):
    assert load(name).pretrained == f'work_dirs/mae_pretrain_{name.removesuffix("_640")[-4:]}'
    check_that_paths_follow(
        name, {'images/training', 'annotations/training', 'images/validation', 'annotations/validation'}
    )


@pytest.mark.parametrize('size', 'blh')
def test_the_640_config_is_the_512_one_but_for_its_crop(size):
    small, large = load(f'ade20k_upernet_vit{size}').to_dict(), load(f'ade20k_upernet_vit{size}_640')
    assert change_settings(large, ['crop_size=(512,512)']).to_dict() == small


@pytest.mark.parametrize('name', ADE)
def test_own_classes_reach_data_and_heads(name):
    cfg = change_settings(load(name), ['classes=traffic light,dog'])
    assert [head.num_classes for head in (cfg.model.decode_head, cfg.model.auxiliary_head)] == [2, 2]
    assert {cfg[loader].dataset.metainfo.classes for loader in LOADERS} == {('traffic light', 'dog')}


# --- each config on tiny data -----------------------------------------------------------------------------------------
@pytest.mark.parametrize('name', ADE)
def test_a_config_trains_and_tests(name, root):
    cfg = reduced(name, root)
    model = train_one_step(cfg)
    tables = [
        name for name, p in model.backbone.named_parameters() if 'relative_position' in name and p.abs().sum() > 0
    ]
    assert len(tables) == 4  # they started at zero
    sample, seen = judge_one_image(model, cfg)
    # 30 x 151 becomes 51 x 256, or 76 x 384, padded to the crop's height; windows slide along it.
    crop, stride, length = (96, 64, 384) if name.endswith('640') else (64, 42, 256)
    assert seen == [(crop, crop)] * (1 + -(-(length - crop) // stride))
    assert sample.pred_sem_seg.data.shape[1:] == sample.ori_shape == (30, 151)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_precision_is_what_the_wrapper_says(dtype, root, monkeypatch):
    cfg = reduced(B, root, optim_wrapper__dtype=dtype)
    model, wrapper = build(cfg)
    seen = []

    def watched(logits, labels, *settings):
        seen.append((logits.dtype, labels.shape[1:]))
        return resized_cross_entropy(logits, labels, *settings)

    monkeypatch.setattr(heads, 'resized_cross_entropy', watched)
    block = model.backbone.blocks[1]
    with dtypes_of(attention=block.attn.qkv, mlp=block.mlp.fc1, head=model.decode_head.fpn_bottleneck.conv) as dtypes:
        logged = model.train_step(first_batch(cfg), wrapper)
    assert type(wrapper).__name__ == 'AutocastOptimWrapper'
    assert dtypes == {name: {getattr(torch, dtype)} for name in ('attention', 'mlp', 'head')}
    assert seen == [(torch.float32, (64, 64))] * 2  # the loss, at the labels' resolution
    assert {'decode.loss_ce', 'aux.loss_ce', 'loss'} <= set(logged) and all(
        torch.as_tensor(value).isfinite() for value in logged.values()
    )


def test_padding_is_zero_after_normalisation(root):
    cfg = reduced(B, root)
    item = DATASETS.build(cfg.train_dataloader.dataset)[0]
    item['inputs'] = item['inputs'][:, :33, :41]
    item['data_samples'].gt_sem_seg = PixelData(data=item['data_samples'].gt_sem_seg.data[:, :33, :41])
    data = MODELS.build(cfg.model.data_preprocessor)(pseudo_collate([item]), training=True)
    images, labels = data['inputs'], data['data_samples'][0].gt_sem_seg.data
    assert images.shape[2:] == labels.shape[1:] == (64, 64)
    assert images[:, :, 33:].eq(0).all() and images[:, :, :, 41:].eq(0).all() and images[:, :, :33, :41].ne(0).any()
    assert labels[:, 33:].eq(255).all() and labels[:, :, 41:].eq(255).all()


@pytest.mark.parametrize('name, patch', [('ade20k_upernet_vitb', 16), ('ade20k_upernet_vith', 14)])
def test_pretrained_weights_arrive(name, patch, root, tmp_path):
    """The official code's file; ViT-H's patches of 14 become 16."""
    weights = official_file(tmp_path / 'official.pth', patch_size=patch)
    model = build_model(reduced(name, root, str(tmp_path / 'official.pth')).model)
    loaded = model.backbone.state_dict()
    changed = {'pos_embed', 'patch_embed.proj.weight'} if patch == 14 else {'pos_embed'}
    tables = {key for key in loaded if 'relative_position' in key}
    same = set(loaded) - changed - tables
    assert len(same) >= 4 * 12 + 2 and all(torch.equal(loaded[key], weights[key]) for key in same)
    assert (
        torch.equal(loaded['pos_embed'][:, 0], weights['pos_embed'][:, 0]) and loaded['pos_embed'].shape[1] == 1 + 4 * 4
    )
    assert loaded['patch_embed.proj.weight'].shape[2:] == (16, 16) and loaded['patch_embed.proj.weight'].abs().sum() > 0
    assert len(tables) == 4 and all(loaded[key].eq(0).all() for key in tables)


def test_label_zero_is_ignored(root):
    item = DATASETS.build(reduced(B, root).val_dataloader.dataset)[0]
    stored = torch.from_numpy(cv2.imread(item['data_samples'].seg_map_path, cv2.IMREAD_UNCHANGED).astype(int))
    labels = item['data_samples'].gt_sem_seg.data[0]
    assert torch.equal(labels, torch.where(stored == 0, 255, stored - 1))


def test_the_data_have_ade20k_s_classes_and_colours(root):
    cfg = load(B)
    assert cfg.classes is None
    meta = DATASETS.build(reduced(B, root).val_dataloader.dataset).metainfo
    assert (
        len(meta['classes']) == len(meta['palette']) == 150
        and meta['classes'][0] == 'wall'
        and meta['classes'][149] == 'flag'
    )


# --- several scales, mirrored -----------------------------------------------------------------------------------------
@pytest.mark.parametrize('name', [B, 'ade20k_upernet_vitl_640'])
def test_six_scales_and_their_mirror_images_are_run(name, root):
    cfg = average_views(reduced(name, root, model__test_cfg__mode='whole'))
    model = build_model(cfg.model).eval()
    seen = []
    model.module.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs['inputs']), with_kwargs=True)
    with torch.no_grad():
        (sample,) = model.test_step(next(iter(StrictRunner.build_dataloader(cfg.test_dataloader))))
    long = 384 if name.endswith('640') else 256
    assert [image.shape[3] for image in seen] == [
        int(long * scale) for scale in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75) for _ in range(2)
    ]
    assert all(image.shape[2] == int(image.shape[3] * 30 / 151 + 0.5) for image in seen)
    assert all(torch.equal(mirrored, image.flip(3)) for image, mirrored in zip(seen[::2], seen[1::2]))
    assert sample.pred_sem_seg.data.shape[1:] == sample.gt_sem_seg.data.shape[1:] == sample.ori_shape == (30, 151)
