"""The COCO configs' numbers: what is published, found in the configs and in what MMEngine makes of them."""

import pytest
import torch
from mmengine.registry import DefaultScope

from mae_transfer.settings import change_settings
from mae_transfer.vit import ViT
from mae_transfer.vit.sizes import resolve_size
from tests.configs import dense
from tests.configs.coco import CASCADE, COCO, VITDET, heads_of
from tests.configs.recipes import check_recipe, load

# Source, unless another is named: Li 2021 (arXiv 2111.11429) and ViTDet (detectron2, projects/ViTDet/configs/common),
# which agree. The schedules are tested in test_schedules.py.
SIZE = (1024, 1024)
SHARED = {
    'total_batch_size': 64,
    'optim_wrapper.type': 'mae_transfer.AutocastOptimWrapper',
    'optim_wrapper.dtype': 'bfloat16',
    'optim_wrapper.clip_grad': None,
    'optim_wrapper.optimizer': dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.1, fused=True),
    'model.backbone.patch_size': 16,
    'model.backbone.window_size': 14,
    'model.backbone.global_blocks': None,  # the ViT's own choice: the end of each quarter
    'model.backbone.class_token': False,
    'model.backbone.final_norm': False,
    'model.backbone.learn_positions': True,
    'model.backbone.rel_pos_img_size': SIZE,
    'model.neck.num_outs': 5,
    'model.data_preprocessor.pad_size_divisor': 1024,
    'model.data_preprocessor.bgr_to_rgb': True,
    'model.data_preprocessor.mean': (123.675, 116.28, 103.53),
    'model.data_preprocessor.std': (58.395, 57.12, 57.375),
    'train_dataloader.dataset.filter_cfg': dict(filter_empty_gt=True, min_size=32),
    'train_dataloader.dataset.pipeline': [
        dict(type='LoadImageFromFile', color_type='color'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='RandomResize', scale=SIZE, ratio_range=(0.1, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_type='absolute', crop_size=SIZE, recompute_bbox=True, allow_negative_crop=True),
        dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
        dict(type='PackDetInputs'),
    ],
    'val_dataloader.dataset.pipeline.1': dict(type='Resize', scale=SIZE, keep_ratio=True),
    'test_dataloader.dataset.pipeline.1': dict(type='Resize', scale=SIZE, keep_ratio=True),
    'model.rpn_head.num_convs': 2,
    'model.rpn_head.loss_bbox.type': 'L1Loss',
    'model.roi_head.mask_head.num_convs': 4,
    'model.roi_head.mask_head.num_classes': 80,
    'model.train_cfg.rpn_proposal.nms_pre': 2000,
    'model.train_cfg.rpn_proposal.max_per_img': 1000,
    'model.test_cfg.rpn.nms_pre': 1000,
    'model.test_cfg.rpn.max_per_img': 1000,
    'model.test_cfg.rcnn.score_thr': 0.05,
    'model.test_cfg.rcnn.nms.iou_threshold': 0.5,
    'model.test_cfg.rcnn.max_per_img': 100,
}
SYNC_BN = dict(type='SyncBN', requires_grad=True)
LI_2021 = {
    'base_lr': pytest.approx(8e-5 * 256 / 64),
    'train_cfg.type': 'mae_transfer.EpochBasedTrainLoop',
    'train_cfg.max_epochs': 100,
    'optim_wrapper.paramwise_cfg': dict(layer_decay=1.0),
    'model.backbone.rel_pos': 'shared',
    'model.neck.type': 'mae_transfer.ViTFPN',
    'model.neck.scale_norm_cfg.type': 'GN',
    'model.neck.norm_cfg': SYNC_BN,
    'model.roi_head.mask_head.norm_cfg': SYNC_BN,
}
LAYER_NORM = dict(type='mae_transfer.LayerNorm2d', eps=1e-6)
RPN_REGIONS = dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)
OF_VITDET = {
    'base_lr': pytest.approx(1e-4 * 256 / 64),
    'train_cfg.type': 'mae_transfer.IterBasedTrainLoop',
    'model.backbone.rel_pos': 'decomposed',
    'model.backbone.out_indices': (-1,),
    'model.neck.type': 'mae_transfer.SimpleFeaturePyramid',
    'model.roi_head.mask_head.norm_cfg': LAYER_NORM,
}


def box_head(place: str, norm: dict, agnostic: bool, *weights: float) -> dict:
    """A box head whose boxes are regressed in units of 1 / ``weights``."""
    return {
        f'{place}.type': 'Shared4Conv1FCBBoxHead',
        f'{place}.fc_out_channels': 1024,
        f'{place}.num_classes': 80,
        f'{place}.loss_bbox.type': 'L1Loss',
        f'{place}.norm_cfg': norm,
        f'{place}.reg_class_agnostic': agnostic,
        f'{place}.bbox_coder.target_stds': [pytest.approx(1 / weight) for weight in weights],
    }


def stage(place: str, iou: float, sampler: dict) -> dict:
    """What a box head is trained on."""
    keys = ('pos_iou_thr', 'neg_iou_thr', 'min_pos_iou')
    return {**{f'{place}.assigner.{key}': iou for key in keys}, f'{place}.sampler': sampler}


ONE_STAGE = stage('model.train_cfg.rcnn', 0.5, RPN_REGIONS)
# detectron2's cascade_mask_rcnn_vitdet_*.py.
CASCADED = {
    'model.roi_head.type': 'mae_transfer.CascadeBoxRoIHead',
    'model.roi_head.num_stages': 3,
    'model.roi_head.stage_loss_weights': [1.0, 1.0, 1.0],
    **{
        key: value
        for number, (iou, weight) in enumerate([(0.5, 10), (0.6, 20), (0.7, 30)])
        for part in (
            box_head(f'model.roi_head.bbox_head.{number}', LAYER_NORM, True, *(weight,) * 2, *(weight / 2,) * 2),
            stage(f'model.train_cfg.rcnn.{number}', iou, dict(type='PseudoSampler') if number else RPN_REGIONS),
        )
        for key, value in part.items()
    },
}


@pytest.mark.parametrize(
    'name, arch, drop_path', [('coco_maskrcnn_vitb', 'base', 0.1), ('coco_maskrcnn_vitl', 'large', 0.3)]
)
def test_the_recipe_of_li_2021(name, arch, drop_path):
    check_recipe(
        load(name),
        {
            **SHARED,
            **LI_2021,
            **ONE_STAGE,
            **box_head('model.roi_head.bbox_head', SYNC_BN, False, 10, 10, 5, 5),
            'model.backbone.arch': arch,
            'model.backbone.drop_path_rate': drop_path,
            'model.neck.embed_dim': resolve_size(arch).embed_dim,
        },
    )


@pytest.mark.parametrize(
    'suffix, arch, decay, drop_path, spared, epochs',
    [
        ('vitb', 'base', 0.7, 0.1, dict(no_decay_kind='norms', no_decay_names=('pos_embed',)), 100),
        ('vitl', 'large', 0.8, 0.4, dict(no_decay_kind='norms', no_decay_names=('pos_embed',)), 100),
        ('vith', 'huge', 0.9, 0.5, dict(no_decay_kind='none', no_decay_names=()), 75),
    ],
)
@pytest.mark.parametrize('family', ['coco_vitdet', 'coco_vitdet_cascade'])
def test_the_recipe_of_vitdet(family, suffix, arch, decay, drop_path, spared, epochs):
    steps = 184375 * epochs // 100
    assert steps * 64 == pytest.approx(118000 * epochs, rel=1e-5)
    heads = CASCADED
    if family == 'coco_vitdet':
        heads = {**ONE_STAGE, **box_head('model.roi_head.bbox_head', LAYER_NORM, False, 10, 10, 5, 5)}
    check_recipe(
        load(f'{family}_{suffix}'),
        {
            **SHARED,
            **OF_VITDET,
            **heads,
            'train_cfg.max_iters': steps,
            'optim_wrapper.paramwise_cfg': dict(spared, layer_decay=decay),
            'model.backbone.arch': arch,
            'model.backbone.drop_path_rate': drop_path,
            'model.neck.embed_dim': resolve_size(arch).embed_dim,
        },
    )


@pytest.mark.parametrize('name, taps', [('coco_maskrcnn_vitb', (2, 5, 8, 11)), ('coco_maskrcnn_vitl', (5, 11, 17, 23))])
def test_the_taps_are_at_the_end_of_each_quarter(name, taps):
    vit = load(name).model.backbone
    with torch.device('meta'):
        made = ViT(vit.arch, 224, 16, out_indices=vit.out_indices, class_token=False, window_size=vit.window_size)
    assert made.out_indices == made.global_blocks == taps


@pytest.mark.parametrize('name', COCO)
def test_paths_follow_data_root_and_pretrained(name):
    assert load(name).pretrained == f'work_dirs/mae_pretrain_{name[-4:]}'
    relative = {'annotations/instances_train2017.json', 'annotations/instances_val2017.json', 'train2017/', 'val2017/'}
    moved = dense.check_that_paths_follow(name, relative)
    for evaluator in (moved.val_evaluator, moved.test_evaluator):
        assert evaluator.ann_file == 'another/folder/annotations/instances_val2017.json'


# Weight decay and layer decay, parameter by parameter


@pytest.mark.parametrize('name', VITDET + CASCADE[:1])
def test_every_parameter_has_the_rate_and_decay_of_the_original(name):
    """At full depth, and narrow. The rule as published: ``backbone.{pos_embed,patch_embed}`` are layer 0, ``blocks.i``
    layer i + 1, all else depth + 1; the rate is decay ** (depth + 1 - layer)."""
    cfg = load(name)
    depth = resolve_size(cfg.model.backbone.arch).depth
    cfg = change_settings(
        cfg, [('model.backbone.arch', f'16x{depth}x2'), ('pretrained', 'none'), ('base_lr', 256 / cfg.total_batch_size)]
    )
    for head in heads_of(cfg):
        head.update(conv_out_channels=16, fc_out_channels=16)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model, wrapper = dense.build(cfg)
    norms = {
        parameter for module in model.modules() if 'Norm' in type(module).__name__ for parameter in module.parameters()
    }
    names = dict((parameter, name) for name, parameter in model.named_parameters())
    quarter = depth // 4
    assert model.backbone.global_blocks == tuple(range(quarter - 1, depth, quarter))
    assert [block.window_size for block in model.backbone.blocks] == ([14] * (quarter - 1) + [0]) * 4
    settings = {
        names[parameter]: (group, parameter)
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }
    assert len(settings) == len(names)
    kinds = set()
    for key, (group, parameter) in settings.items():
        part, _, rest = key.partition('.')
        layer = depth + 1
        if part == 'backbone':
            layer = int(rest.split('.')[1]) + 1 if rest.startswith('blocks.') else 0
            assert rest.startswith(('blocks.', 'pos_embed', 'patch_embed.')), key
        scale = cfg.optim_wrapper.paramwise_cfg.layer_decay ** (depth + 1 - layer)
        assert group['lr'] == pytest.approx(scale, rel=1e-9), key
        spared = not name.endswith('vith') and (parameter in norms or key == 'backbone.pos_embed')
        assert group['weight_decay'] == (0 if spared else 0.1), key
        kinds.add((part, key.rpartition('.')[2], group['weight_decay'] == 0))
    if not name.endswith('vith'):
        assert {
            ('backbone', 'bias', False),
            ('backbone', 'bias', True),
            ('backbone', 'rel_pos_h', False),
            ('neck', 'weight', True),
            ('backbone', 'pos_embed', True),
            ('roi_head', 'weight', True),
            ('roi_head', 'bias', False),
        } <= kinds
