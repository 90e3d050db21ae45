"""The COCO configs, each run on tiny data through its own pipelines, model and optimiser.

Sizes alone are reduced (:func:`reduced`): what is built, and how it is joined, is the config's.
"""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from torch import nn

from mae_transfer import launch
from mae_transfer.optim import AutocastOptimWrapper
from mae_transfer.settings import change_settings
from mae_transfer.vit.sizes import resolve_size
from tests.configs import dense
from tests.configs.coco import CASCADE, COCO, KINDS, MASKRCNN, heads_of
from tests.configs.recipes import LOADERS, load


@pytest.fixture(scope='module')
def coco_root(tmp_path_factory):
    """Two images to train and one to judge, none square, with polygons of two classes."""
    from mmdet.datasets import CocoDataset  # after mae_transfer, which gives mmcv its native operators

    root = tmp_path_factory.mktemp('coco')
    for split, sizes in [('train2017', [(90, 70), (61, 103)]), ('val2017', [(50, 37)])]:
        images, annotations = [], []
        for i, (height, width) in enumerate(sizes):
            dense.draw(root / split / f'{i}.jpg', height, width)
            images.append(dict(id=i, file_name=f'{i}.jpg', height=height, width=width))
            for category, (x, y, side) in [(1, (4, 6, 28)), (3, (width - 30, height - 26, 20))]:
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=i,
                        category_id=category,
                        iscrowd=0,
                        area=side * side / 2,
                        bbox=[x, y, side, side],
                        segmentation=[[x, y, x + side, y, x, y + side]],
                    )
                )
        (root / 'annotations').mkdir(exist_ok=True)
        (root / 'annotations' / f'instances_{split}.json').write_text(
            json.dumps(
                dict(
                    images=images,
                    annotations=annotations,
                    categories=[
                        dict(id=i, name=name) for i, name in enumerate(CocoDataset.METAINFO['classes'], start=1)
                    ],
                )
            )
        )
    return str(root)


def reduced(name: str, root: str, pretrained: str = 'none'):
    """The config with images of 96 in place of 1024 and narrow heads, its data in ``root``."""
    width = 8
    changes = {
        'image_size': (96, 96),
        'model.backbone.window_size': 4,  # of 6 x 6 patches
        'model.backbone.global_blocks': (1, 3),  # of four
        'model.neck.out_channels': width,
        'model.rpn_head.in_channels': width,
        'model.rpn_head.feat_channels': width,
        'model.roi_head.bbox_roi_extractor.out_channels': width,
        'model.roi_head.mask_roi_extractor.out_channels': width,
        'model.roi_head.mask_head.in_channels': width,
        'model.roi_head.mask_head.conv_out_channels': width,
        'model.train_cfg.rpn_proposal.max_per_img': 20,
        'model.test_cfg.rpn.max_per_img': 20,
        'model.test_cfg.rcnn.max_per_img': 20,
        'model.test_cfg.rcnn.score_thr': 0.0,  # so that untrained weights find something
    }
    is_cascade = name in CASCADE
    for head in range(3) if is_cascade else ['']:
        for key in ('in_channels', 'conv_out_channels', 'fc_out_channels'):
            changes[f'model.roi_head.bbox_head.{head}.{key}'.replace('..', '.')] = width
    changes[f'model.train_cfg.rcnn{".0" if is_cascade else ""}.sampler.num'] = 16
    return dense.reduce(name, root, pretrained, changes)


@pytest.fixture
def config(request, coco_root):
    cfg = reduced(request.param, coco_root)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        yield cfg


@pytest.mark.parametrize('config', COCO, indirect=True)
def test_a_config_trains_and_tests(config):
    model = dense.train_one_step(config)
    sample, seen = dense.judge_one_image(model, config)
    assert seen == [(96, 96)]  # padded to the square
    assert len(sample.pred_instances) and sample.pred_instances.masks.shape[1:] == sample.ori_shape == (50, 37)
    height, width = sample.ori_shape
    boxes = sample.pred_instances.bboxes
    assert boxes.min() >= 0 and (boxes.amax(0) <= torch.tensor([width, height, width, height]) + 1e-3).all()


@pytest.mark.parametrize('amp', ['bf16', 'fp16'])
@pytest.mark.parametrize('config', KINDS, indirect=True)
def test_precision_is_really_on(config, amp, tmp_path):
    """From the options of tools/train.py to the numbers inside a block, and float32 where boxes meet maps."""
    dtype = dict(bf16=torch.bfloat16, fp16=torch.float16)[amp]
    named = dict(work_dir=str(tmp_path), launcher='none', log_level='WARNING', experiment_name=f'{tmp_path.name}')
    config = change_settings(config, [*named.items(), *launch.set_amp(config, amp)])
    launch.prepare_training(config)
    runner = launch.build_runner(config, require_all_weights=False)
    model, wrapper = runner.model, runner.build_optim_wrapper(runner.optim_wrapper)
    assert type(wrapper) is AutocastOptimWrapper and wrapper.dtype is dtype
    assert wrapper.scaler.is_enabled() == (amp == 'fp16')

    regions = []
    extractors = [module for module in model.modules() if type(module).__name__ == 'RoIAlign']
    for extractor in extractors:
        extractor.register_forward_pre_hook(lambda module, args: regions.append({tensor.dtype for tensor in args}))
    windowed, everywhere = model.backbone.blocks[0], model.backbone.blocks[3]
    layers = dict(
        windowed=windowed.attn.qkv,
        everywhere=everywhere.mlp.fc1,
        neck=model.neck,
        head=next(module for module in model.roi_head.modules() if type(module) is nn.Conv2d),
    )
    with dense.dtypes_of(**layers) as seen:
        logged = model.train_step(dense.first_batch(config), wrapper)
    assert seen == dict(windowed={dtype}, everywhere={dtype}, neck={torch.float32}, head={dtype})
    assert regions and all(types == {torch.float32} for types in regions)
    assert all(value.isfinite() for value in logged.values()), logged
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


@pytest.mark.parametrize('config', [MASKRCNN[0], CASCADE[0]], indirect=True)
def test_a_crop_without_objects_is_trained_on(config):
    pipeline = config.train_dataloader.dataset.pipeline
    crop = next(step for step in pipeline if step['type'] == 'RandomCrop')
    crop.update(crop_size=(8, 8))  # far smaller than the gaps between the objects
    np.random.seed(0)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    dataset.full_init()
    items = [dataset.pipeline(dataset.get_data_info(i % 2)) for i in range(100)]
    assert None not in items  # None: the pipeline asks for another image
    items = [item for item in items if not len(item['data_samples'].gt_instances)][:2]
    assert len(items) == 2

    model = dense.build_model(config.model)
    data = model.data_preprocessor(pseudo_collate(items), training=True)
    total, logged = model.parse_losses(model(**data, mode='loss'))
    assert total.isfinite() and logged['loss_mask' if 'loss_mask' in logged else 's0.loss_mask'] == 0
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('config', MASKRCNN[:1], indirect=True)
def test_padding_is_zero_after_normalisation(config, training):
    preprocessor = MODELS.build(config.model.data_preprocessor)
    dataset = DATASETS.build(config.train_dataloader.dataset if training else config.val_dataloader.dataset)
    item = dataset[0]
    item['inputs'] = item['inputs'][:, :33, :41]
    images = preprocessor(pseudo_collate([item]), training=training)['inputs']
    assert tuple(images.shape[2:]) == (96, 96)
    assert images[:, :, 33:].eq(0).all() and images[:, :, :, 41:].eq(0).all() and images[:, :, :33, :41].ne(0).any()


@pytest.mark.parametrize('name', KINDS[:2])
def test_pretrained_weights_arrive(name, coco_root, tmp_path):
    """The official code's file: everything under 'model', positions for 224 x 224 and a class token."""
    weights = dense.official_file(tmp_path / 'official.pth')
    cfg = reduced(name, coco_root, str(tmp_path / 'official.pth'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = dense.build_model(cfg.model)
    loaded = model.backbone.state_dict()
    relative = {key for key in loaded if 'rel_pos' in key}
    same = set(loaded) - relative - {'pos_embed'}
    assert len(same) >= 4 * 12 + 2 and all(torch.equal(loaded[key], weights[key]) for key in same)
    # The table of 14 x 14 is kept, without the class token's row.
    assert torch.equal(loaded['pos_embed'], weights['pos_embed'][:, 1:])
    assert relative and all(loaded[key].eq(0).all() for key in relative)


@pytest.mark.parametrize('name', ['coco_vitdet_vith', 'coco_vitdet_cascade_vith'])
def test_patches_of_14_become_16(name, coco_root, tmp_path):
    """MAE's ViT-H in the config of ViTDet's: the patch embedding is resampled, the 16 x 16 positions are kept."""
    assert resolve_size(load(name).model.backbone.arch).patch_size == 14
    weights = dense.official_file(tmp_path / 'official.pth', patch_size=14)
    cfg = reduced(name, coco_root, str(tmp_path / 'official.pth'))
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = dense.build_model(cfg.model)
    loaded = model.backbone.state_dict()
    assert torch.equal(loaded['pos_embed'], weights['pos_embed'][:, 1:]) and loaded['pos_embed'].shape[1] == 16 * 16
    resampled = F.interpolate(weights['patch_embed.proj.weight'], size=(16, 16), mode='bicubic', align_corners=False)
    torch.testing.assert_close(loaded['patch_embed.proj.weight'], resampled, rtol=0, atol=1e-6)
    assert torch.equal(loaded['blocks.3.mlp.fc2.weight'], weights['blocks.3.mlp.fc2.weight'])


@pytest.mark.parametrize('name', KINDS)
def test_own_classes_reach_every_head_and_data_set(name):
    cfg = change_settings(load(name), ['classes=cat,dog,owl'])
    heads = [*heads_of(cfg), cfg.model.roi_head.mask_head]
    assert [head.num_classes for head in heads] == [3] * len(heads)
    assert {cfg[loader].dataset.metainfo.classes for loader in LOADERS} == {('cat', 'dog', 'owl')}


@pytest.mark.parametrize('name', ['coco_maskrcnn_vitb', 'coco_vitdet_vitb'])
def test_a_size_that_is_not_square_crops_as_it_says_and_pads_to_a_square(name, coco_root):
    cfg = change_settings(reduced(name, coco_root), [('image_size', (64, 96))])
    assert cfg.model.data_preprocessor.pad_size_divisor == 96 and cfg.model.backbone.rel_pos_img_size == (96, 96)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        batches = [dense.first_batch(cfg) for _ in range(4)]
        model = dense.build_model(cfg.model)
        padded = model.data_preprocessor(batches[0], training=True)['inputs']
    for batch in batches:
        heights, widths = zip(*(image.shape[1:] for image in batch['inputs']), strict=True)
        assert max(heights) <= 64 and max(widths) <= 96
    assert padded.shape[2:] == (96, 96) and model.backbone.rel_pos_grid == (6, 6)
