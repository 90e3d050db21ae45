"""The COCO configs' numbers: what is published, found in the configs and in what MMEngine makes of them."""

import pytest
import torch
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope
from torch import nn

from mae_transfer.optim.batch_plan import apply_batch_plan
from mae_transfer.vit.sizes import resolve_size
from tests.configs import dense
from tests.configs.coco import CASCADE, COCO, VITDET, heads_of
from tests.configs.dense import load


@pytest.mark.parametrize('name', COCO)
def test_recipe_that_all_share(name):
    cfg = load(name)
    assert cfg.total_batch_size == 64 and 'clip_grad' not in cfg.optim_wrapper
    optimizer = cfg.optim_wrapper.optimizer
    assert 'lr' not in optimizer  # tools/train.py fills it in
    assert (optimizer.type, optimizer.betas, optimizer.weight_decay) == ('AdamW', (0.9, 0.999), 0.1)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == ('mae_transfer.AutocastOptimWrapper', 'bfloat16')

    backbone, size = cfg.model.backbone, resolve_size(cfg.model.backbone.arch)
    assert (backbone.patch_size, backbone.window_size, backbone.class_token, backbone.final_norm) == (
        16,
        14,
        False,
        False,
    )
    assert 'global_blocks' not in backbone and backbone.learn_positions  # the ViT's own choice: the end of each quarter
    assert backbone.rel_pos_img_size == (1024, 1024) and cfg.model.neck.embed_dim == size.embed_dim

    pipeline = {step.type: step for step in cfg.train_pipeline}
    order = [step.type for step in cfg.train_pipeline]
    assert order.index('RandomFlip') < order.index('RandomResize') < order.index('RandomCrop')
    assert (pipeline['RandomResize'].scale, pipeline['RandomResize'].ratio_range) == ((1024, 1024), (0.1, 2.0))
    assert pipeline['RandomCrop'].crop_size == (1024, 1024) and pipeline['RandomFlip'].prob == 0.5
    assert cfg.model.data_preprocessor.pad_size_divisor == 1024 and cfg.model.data_preprocessor.bgr_to_rgb
    assert cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt and cfg.test_pipeline[1].scale == (1024, 1024)


@pytest.mark.parametrize('name', COCO)
def test_heads_that_all_share(name):
    model = load(name).model
    assert model.rpn_head.num_convs == 2 and model.rpn_head.loss_bbox.type == 'L1Loss'
    assert (model.train_cfg.rpn_proposal.nms_pre, model.train_cfg.rpn_proposal.max_per_img) == (2000, 1000)
    assert (model.test_cfg.rpn.nms_pre, model.test_cfg.rpn.max_per_img) == (1000, 1000)
    test = model.test_cfg.rcnn
    assert (test.score_thr, test.nms.iou_threshold, test.max_per_img) == (0.05, 0.5, 100)
    boxes = model.roi_head.bbox_head
    for head in boxes if isinstance(boxes, list) else [boxes]:
        assert (
            head.type == 'Shared4Conv1FCBBoxHead' and head.loss_bbox.type == 'L1Loss' and head.fc_out_channels == 1024
        )
    assert model.roi_head.mask_head.num_convs == 4


@pytest.mark.parametrize('name, drop_path', [('coco_maskrcnn_vitb', 0.1), ('coco_maskrcnn_vitl', 0.3)])
def test_recipe_of_li_2021(name, drop_path):
    cfg = load(name)
    assert cfg.base_lr * 64 / 256 == pytest.approx(8e-5) and cfg.optim_wrapper.paramwise_cfg == dict(layer_decay=1.0)
    backbone, depth = cfg.model.backbone, resolve_size(cfg.model.backbone.arch).depth
    assert (backbone.drop_path_rate, backbone.rel_pos) == (drop_path, 'shared')
    assert backbone.out_indices == tuple(range(depth // 4 - 1, depth, depth // 4))
    assert cfg.train_cfg.max_epochs == 100
    assert [(s.type, s.warmup, s.end) for s in cfg.param_scheduler] == [('mae_transfer.WarmupCosineLR', 0.25, 100)]
    assert cfg.model.neck.scale_norm_cfg.type == 'GN'
    for part in (cfg.model.neck, cfg.model.roi_head.bbox_head, cfg.model.roi_head.mask_head):
        assert part.norm_cfg.type == 'SyncBN'


@pytest.mark.parametrize(
    'suffix, decay, drop_path, spared',
    [
        ('vitb', 0.7, 0.1, dict(undecayed='norms', no_decay=('pos_embed',))),
        ('vitl', 0.8, 0.4, dict(undecayed='norms', no_decay=('pos_embed',))),
        ('vith', 0.9, 0.5, dict(undecayed='nothing', no_decay=())),
    ],
)
@pytest.mark.parametrize('family', ['coco_vitdet', 'coco_vitdet_cascade'])
def test_recipe_of_vitdet(family, suffix, decay, drop_path, spared):
    cfg = load(f'{family}_{suffix}')
    assert cfg.base_lr * 64 / 256 == pytest.approx(1e-4) and cfg.optim_wrapper.paramwise_cfg == dict(
        spared, layer_decay=decay
    )
    backbone = cfg.model.backbone
    assert (backbone.drop_path_rate, backbone.rel_pos, backbone.out_indices) == (drop_path, 'decomposed', (-1,))
    assert cfg.model.neck.type == 'mae_transfer.SimpleFeaturePyramid' and cfg.model.neck.num_outs == 5
    epochs = 75 if suffix == 'vith' else 100
    assert cfg.train_cfg.max_iters == 184375 * epochs // 100
    assert cfg.train_cfg.max_iters * 64 == pytest.approx(118000 * epochs, rel=1e-5)
    assert cfg.param_scheduler[1].milestones == [step * epochs // 100 for step in (163889, 177546)]
    heads = cfg.model.roi_head.bbox_head
    if family == 'coco_vitdet':
        assert not heads.reg_class_agnostic and heads.bbox_coder.target_stds == [0.1, 0.1, 0.2, 0.2]
        heads = [heads]
    else:
        assert all(head.reg_class_agnostic for head in heads)
        weights = [[1 / std for std in head.bbox_coder.target_stds] for head in heads]
        assert weights == [pytest.approx(w) for w in ([10, 10, 5, 5], [20, 20, 10, 10], [30, 30, 15, 15])]
        stages = cfg.model.train_cfg.rcnn
        assert [(s.assigner.pos_iou_thr, s.assigner.neg_iou_thr, s.assigner.min_pos_iou) for s in stages] == [
            (0.5, 0.5, 0.5),
            (0.6, 0.6, 0.6),
            (0.7, 0.7, 0.7),
        ]
        assert [s.sampler.type for s in stages] == ['RandomSampler', 'PseudoSampler', 'PseudoSampler']
        assert cfg.model.roi_head.stage_loss_weights == [1, 1, 1]
    for part in [*heads, cfg.model.roi_head.mask_head]:
        assert part.norm_cfg == dict(type='mae_transfer.LayerNorm2d', eps=1e-6)


def schedule(cfg, steps: list[int], accumulation: int) -> list[float]:
    """The rates, as shares of the full one, by which the optimiser makes its ``steps``, through MMEngine's
    schedulers."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedulers = [PARAM_SCHEDULERS.build(dict(settings, optimizer=optimizer)) for settings in cfg.param_scheduler]
    rates, now = [], 0
    for step in steps:
        then = step * accumulation + accumulation - 1  # the optimiser steps with the last of an accumulation
        if then - now > 5000:
            for scheduler in schedulers:  # over a stretch in which nothing happens
                scheduler.last_step += then - now - 5000
            now = then - 5000
        for _ in range(then - now):
            for scheduler in schedulers:
                scheduler.step()
        now = then
        rates.append(optimizer.param_groups[0]['lr'])
    return rates


@pytest.mark.parametrize('accumulation', [1, 4])
@pytest.mark.parametrize(
    'name, warmup, milestones, length',
    [('coco_vitdet_vitb', 250, (163889, 177546), 184375), ('coco_vitdet_cascade_vith', 188, (122916, 133159), 138281)],
)
def test_rate_at_the_published_steps(name, warmup, milestones, length, accumulation):
    cfg = load(name)
    per_step = 64 // accumulation
    plan = apply_batch_plan(cfg, per_step // cfg.train_dataloader.batch_size)
    assert plan.accumulation == accumulation and plan.lr == pytest.approx(1e-4)
    assert (
        cfg.train_cfg.max_iters == length * accumulation
        and cfg.default_hooks.checkpoint.interval == 5000 * accumulation
    )
    first, second = milestones
    rates = schedule(cfg, [0, 100, warmup - 1, warmup, first - 1, first, second - 1, second, length - 1], accumulation)
    warm = [0.001 + 0.999 * step / warmup for step in (0, 100, warmup - 1)]
    # Within an accumulation the warm-up moves on, by less than a step of it.
    assert rates[:3] == [pytest.approx(rate, abs=1e-6 if accumulation == 1 else 1 / warmup) for rate in warm]
    assert rates[3:] == [pytest.approx(rate, rel=1e-6) for rate in (1, 1, 0.1, 0.1, 0.01, 0.01)]


@pytest.mark.parametrize('name', COCO)
def test_paths_follow_data_root_and_pretrained(name):
    """tools/train.py moves data and weights by replacing the strings that begin with these two."""
    cfg = load(name)
    assert cfg.data_root.endswith('/') and cfg.pretrained == f'work_dirs/mae_pretrain_{name[-4:]}'
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=cfg.pretrained)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == cfg.data_root
    assert (
        cfg.val_evaluator.ann_file
        == cfg.test_evaluator.ann_file
        == cfg.data_root + 'annotations/instances_val2017.json'
    )
    relative = {'annotations/instances_train2017.json', 'annotations/instances_val2017.json', 'train2017/', 'val2017/'}
    paths = {text for text in dense.strings(cfg.to_dict()) if '/' in text} - relative
    assert all(text.startswith((cfg.data_root, cfg.pretrained)) for text in paths), paths


# Weight decay and layer decay, parameter by parameter


@pytest.mark.parametrize('name', VITDET + CASCADE[:1])
def test_every_parameter_has_the_rate_and_decay_of_the_original(name):
    """At full depth, and narrow. The rule as published: ``backbone.{pos_embed,patch_embed}`` are layer 0, ``blocks.i``
    layer i + 1, all else depth + 1; the rate is decay ** (depth + 1 - layer)."""
    cfg = load(name)
    depth = resolve_size(cfg.model.backbone.arch).depth
    cfg.model.backbone.update(arch=dict(embed_dim=16, depth=depth, num_heads=2), init_cfg=None)
    cfg.model.neck.update(embed_dim=16)
    for head in heads_of(cfg):
        head.update(conv_out_channels=16, fc_out_channels=16)
    cfg.optim_wrapper.optimizer.lr = 1.0
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
