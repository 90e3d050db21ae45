"""The ADE20K configs: their recipes, and each of them run on tiny data through its own pipelines, model and optimiser.

Where a test runs a config, sizes alone are reduced (:func:`reduced`): what is built, and how it is joined, is the
config's.
"""

import cv2
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import Runner
from mmengine.structures import PixelData

from mae_transfer.dense.test_time import average_views
from mae_transfer.vit.sizes import resolve_size
from tests.configs.dense import (
    build,
    draw,
    dtypes_of,
    first_batch,
    judge_one_image,
    load,
    official_file,
    reduce,
    strings,
    train_one_step,
)

ADE = [f'ade20k_upernet_vit{size}{crop}' for size in 'blh' for crop in ('', '_640')]
B = ADE[0]
#: Crops, strides and sizes of images, as they are and as they are tested with: 512 and its third, 640 and its third.
SIZES = {
    (512, 512): (64, 64),
    (341, 341): (43, 43),
    (2048, 512): (256, 64),
    (640, 640): (96, 96),
    (426, 426): (64, 64),
    (2560, 640): (384, 96),
}


def reduced(name, root, pretrained='none', **settings):
    """The config with small sizes, its data in ``root``, ready for a machine without a GPU."""
    return reduce(
        load(name),
        root,
        pretrained,
        SIZES,
        {
            'model.decode_head': dict(in_channels=[32] * 4, channels=16),
            'model.auxiliary_head': dict(in_channels=32, channels=16),
            **{key.replace('__', '.'): value for key, value in settings.items()},
        },
    )


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
@pytest.mark.parametrize('crop, scale, stride', [('', (2048, 512), 341), ('_640', (2560, 640), 426)])
@pytest.mark.parametrize(
    'size, arch, decay, drop_path, taps',
    [
        ('b', 'base', 0.65, 0.1, (3, 5, 7, 11)),
        ('l', 'large', 0.8, 0.2, (7, 11, 15, 23)),
        ('h', 'huge', 0.85, 0.3, (10, 15, 20, 31)),
    ],
)
def test_recipe(size, arch, decay, drop_path, taps, crop, scale, stride):
    cfg = load(f'ade20k_upernet_vit{size}{crop}')
    assert cfg.total_batch_size == 16 and cfg.base_lr * 16 / 256 == pytest.approx(1e-4)
    optimizer = cfg.optim_wrapper.optimizer
    assert 'lr' not in optimizer and 'clip_grad' not in cfg.optim_wrapper  # tools/train.py fills lr in
    assert (optimizer.type, optimizer.betas, optimizer.weight_decay) == ('AdamW', (0.9, 0.999), 0.05)
    assert cfg.optim_wrapper.paramwise_cfg == dict(layer_decay=decay) and cfg.optim_wrapper.dtype == 'bfloat16'
    assert cfg.train_cfg.max_iters == 160000
    assert [(s.type, s.begin, s.end, s.by_epoch) for s in cfg.param_scheduler] == [
        ('LinearLR', 0, 1500, False),
        ('PolyLR', 1500, 160000, False),
    ]
    assert (
        cfg.param_scheduler[0].start_factor == 1e-6
        and cfg.param_scheduler[1].power == 1
        and cfg.param_scheduler[1].eta_min == 0
    )

    model, side = cfg.model, scale[1]
    vit, dim = model.backbone, resolve_size(arch).embed_dim
    assert (vit.arch, vit.img_size, vit.patch_size, vit.out_indices, vit.drop_path_rate) == (
        arch,
        (side, side),
        16,
        taps,
        drop_path,
    )
    assert vit.class_token and vit.learn_positions and vit.rel_pos == 'table' and not vit.final_norm
    assert (model.neck.type, model.neck.embed_dim, model.neck.out_channels) == ('mae_transfer.ViTFPN', dim, None)
    head, auxiliary = model.decode_head, model.auxiliary_head
    assert (head.type, head.in_channels, head.channels, head.loss_decode.loss_weight) == ('UPerHead', [dim] * 4, dim, 1)
    assert (auxiliary.type, auxiliary.in_channels, auxiliary.in_index, auxiliary.channels) == ('FCNHead', dim, 2, 256)
    assert auxiliary.loss_decode.loss_weight == 0.4 and head.num_classes == auxiliary.num_classes == 150
    assert {model.neck.scale_norm_cfg.type, head.norm_cfg.type, auxiliary.norm_cfg.type} == {'SyncBN'}
    assert model.test_cfg == dict(mode='slide', crop_size=(side, side), stride=(stride, stride))

    assert model.data_preprocessor.size == (side, side)
    steps = {step['type']: step for step in cfg.train_dataloader.dataset.pipeline}
    assert (steps['RandomResize'].scale, steps['RandomResize'].ratio_range) == (scale, (0.5, 2.0))
    assert (steps['RandomCrop'].crop_size, steps['RandomCrop'].cat_max_ratio) == ((side, side), 0.75)
    assert steps['RandomFlip'].prob == 0.5 and 'PhotoMetricDistortion' in steps
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert [step['type'] for step in loader.dataset.pipeline] == [
            'LoadImageFromFile',
            'Resize',
            'LoadAnnotations',
            'PackSegInputs',
        ]
        assert loader.dataset.pipeline[1] == dict(type='Resize', scale=scale, keep_ratio=True)
    assert cfg.tta == dict(scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75), flip=True)


@pytest.mark.parametrize('name', ADE)
def test_paths_follow_data_root_and_pretrained(name):
    """tools/train.py moves data and weights by replacing the strings that begin with these two."""
    cfg = load(name)
    assert cfg.data_root.endswith('/') and cfg.pretrained == f'work_dirs/mae_pretrain_{name.removesuffix("_640")[-4:]}'
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=cfg.pretrained)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == cfg.data_root
    relative = {'images/training', 'annotations/training', 'images/validation', 'annotations/validation'}
    paths = {text for text in strings(cfg.to_dict()) if '/' in text} - relative
    assert all(text.startswith((cfg.data_root, cfg.pretrained)) for text in paths), paths


# --- each config on tiny data -----------------------------------------------------------------------------------------
@pytest.mark.parametrize('name', ADE)
def test_trains_and_tests(name, root):
    cfg = reduced(name, root)
    model = train_one_step(cfg)
    tables = [
        name for name, p in model.backbone.named_parameters() if 'relative_position' in name and p.abs().sum() > 0
    ]
    assert len(tables) == 4  # they started at zero
    sample, seen = judge_one_image(model, cfg)
    # 30 x 151 becomes 51 x 256, or 76 x 384, padded to the crop's height; windows slide along it.
    crop, stride, length = (96, 64, 384) if name.endswith('640') else (64, 43, 256)
    assert seen == [(crop, crop)] * (1 + -(-(length - crop) // stride))
    assert sample.pred_sem_seg.data.shape[1:] == sample.ori_shape == (30, 151)


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_precision_is_what_the_wrapper_says(dtype, root):
    cfg = reduced(B, root, optim_wrapper__dtype=dtype)
    model, wrapper = build(cfg)
    seen = []
    for head in (model.decode_head, model.auxiliary_head):
        head.loss_decode.register_forward_pre_hook(lambda module, args: seen.append((args[0].dtype, args[0].shape[2:])))
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
    model = MODELS.build(reduced(name, root, str(tmp_path / 'official.pth')).model)
    model.init_weights()
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
    cfg = reduced(name, root, model__test_cfg__mode='whole')
    average_views(cfg)
    model = MODELS.build(cfg.model).eval()
    seen = []
    model.module.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs['inputs']), with_kwargs=True)
    with torch.no_grad():
        (sample,) = model.test_step(next(iter(Runner.build_dataloader(cfg.test_dataloader))))
    long = 384 if name.endswith('640') else 256
    assert [image.shape[3] for image in seen] == [
        int(long * scale) for scale in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75) for _ in range(2)
    ]
    assert all(image.shape[2] == int(image.shape[3] * 30 / 151 + 0.5) for image in seen)
    assert all(torch.equal(mirrored, image.flip(3)) for image, mirrored in zip(seen[::2], seen[1::2]))
    assert sample.pred_sem_seg.data.shape[1:] == sample.gt_sem_seg.data.shape[1:] == sample.ori_shape == (30, 151)
