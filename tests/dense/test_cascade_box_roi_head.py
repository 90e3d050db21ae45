"""The cascade of box heads with one mask head: how it differs from MMDetection's."""

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData

from mae_transfer.errors import UserError
from mae_transfer.settings import read_config
from tests.configs.recipes import CONFIGS, load

WIDTH, CLASSES = 8, 3


def build(**changes):
    """The RoI head of the config, with fewer channels."""
    cfg = read_config(CONFIGS / 'coco_vitdet_cascade_vitb.py').model
    settings = cfg.roi_head
    for head in settings.bbox_head:
        head.update(in_channels=WIDTH, conv_out_channels=WIDTH, fc_out_channels=WIDTH, num_classes=CLASSES)
    settings.mask_head.update(in_channels=WIDTH, conv_out_channels=WIDTH, num_classes=CLASSES)
    settings.bbox_roi_extractor.out_channels = settings.mask_roi_extractor.out_channels = WIDTH
    settings.update(train_cfg=cfg.train_cfg.rcnn, test_cfg=cfg.test_cfg.rcnn, **changes)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = MODELS.build(settings)
    head.init_weights()
    for box_head in head.bbox_head:  # so that scores and boxes differ
        torch.nn.init.normal_(box_head.fc_cls.weight)
        torch.nn.init.normal_(box_head.fc_reg.weight, std=0.3)
    return head


def pyramid(requires_grad: bool = False) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    return tuple(
        torch.randn(1, WIDTH, 96 // stride, 96 // stride).requires_grad_(requires_grad) for stride in (4, 8, 16, 32, 64)
    )


ROIS = torch.tensor([[0.0, 5, 5, 40, 40], [0, 30, 20, 80, 90], [0, 2, 50, 20, 95], [0, 0, 0, 90, 90]])
META = [dict(img_shape=(96, 96), ori_shape=(96, 96), scale_factor=(1.0, 1.0))]


def test_there_is_one_mask_head_and_three_box_heads():
    head = build()
    names = {name.split('.')[0] + '.' + name.split('.')[1] for name, _ in head.named_parameters()}
    assert {name for name in names if name.startswith('mask_head')} == {
        'mask_head.convs',
        'mask_head.upsample',
        'mask_head.conv_logits',
    }
    assert {name for name in names if name.startswith('bbox_head')} == {'bbox_head.0', 'bbox_head.1', 'bbox_head.2'}


@pytest.mark.parametrize('stage', [0, 2])
def test_the_pyramid_gets_a_third_of_the_gradient_and_the_head_gets_all_of_it(stage):
    head, maps = build(), pyramid(requires_grad=True)
    extractor, box_head = head.bbox_roi_extractor[stage], head.bbox_head[stage]
    scores = head._bbox_forward(stage, maps, ROIS)['cls_score']
    plain = box_head(extractor(maps[:4], ROIS))[0]
    assert torch.equal(scores, plain)
    weight = torch.randn_like(scores)
    wanted = [*maps[:4], box_head.fc_cls.weight, box_head.shared_convs[0].conv.weight]
    ours, others = (torch.autograd.grad((out * weight).sum(), wanted) for out in (scores, plain))
    assert all(gradient.abs().sum() > 0 for gradient in others[4:]) and sum(g.abs().sum() for g in others[:4]) > 0
    for i, (one, other) in enumerate(zip(ours, others)):
        torch.testing.assert_close(one, other / 3 if i < 4 else other, rtol=1e-4, atol=1e-7)


def test_probabilities_are_averaged_and_boxes_are_the_last_stage_s():
    """Compared with the stages one by one: boxes are refined from stage to stage and clipped to the image."""
    head, maps = build().eval(), pyramid()
    with torch.no_grad():
        rois, scores, boxes = head._refine_roi(maps, ROIS, META, (len(ROIS),))
        regions, probabilities = ROIS[:, 1:], []
        for stage in range(3):
            last_regions = regions
            logits, deltas = head.bbox_head[stage](
                head.bbox_roi_extractor[stage](maps[:4], torch.cat([ROIS[:, :1], regions], 1))
            )
            probabilities.append(torch.softmax(logits, 1))
            regions = head.bbox_head[stage].bbox_coder.decode(regions, deltas, max_shape=(96, 96))
    mean = torch.stack(probabilities).mean(0)
    from_logits = torch.stack([p.log() for p in probabilities]).mean(0).softmax(1)
    assert (mean - from_logits).abs().max() > 1e-3  # averaging the logits would give another result
    torch.testing.assert_close(scores[0].softmax(1), mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(rois[0][:, 1:], last_regions, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(boxes[0], deltas, rtol=1e-4, atol=1e-4)


def test_a_batch_may_contain_images_without_proposals():
    head, maps = build().eval(), tuple(torch.cat([level] * 3) for level in pyramid())
    proposals = [InstanceData(bboxes=boxes) for boxes in (ROIS[:0, 1:], ROIS[:, 1:], ROIS[:0, 1:])]
    with torch.no_grad():
        found = head.predict_bbox(maps, META * 3, proposals, ConfigDict(head.test_cfg, score_thr=0.0))
        masked = head.predict_mask(maps, META * 3, found, rescale=True)
    assert [len(result) > 0 for result in masked] == [False, True, False]
    assert masked[1].masks.shape == (len(masked[1]), 96, 96)


def losses(head, proposals, truth):
    """The losses of the RoI head on one image, and the number of regions of each stage."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    masks = BitmapMasks(np.ones((len(truth), 96, 96), dtype=np.uint8), 96, 96)
    sample = DetDataSample(
        gt_instances=InstanceData(bboxes=truth, labels=torch.zeros(len(truth), dtype=torch.long), masks=masks),
        metainfo=META[0],
    )
    counts = []
    handles = [
        box_head.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
        for box_head in head.bbox_head
    ]
    result = head.loss(pyramid(), [InstanceData(bboxes=proposals)], [sample])
    for handle in handles:
        handle.remove()
    return result, counts


def test_all_regions_of_the_first_stage_are_kept_including_the_ground_truth():
    truth = torch.tensor([[10.0, 10, 50, 60], [40, 30, 90, 90]])
    result, counts = losses(build(), ROIS[:, 1:].clone(), truth)
    assert counts == [len(ROIS) + len(truth)] * 3
    assert {name for name in result if 'mask' in name} == {'s0.loss_mask'}
    assert {name for name in result if 'loss_bbox' in name} == {'s0.loss_bbox', 's1.loss_bbox', 's2.loss_bbox'}
    assert all(value.isfinite() for value in result.values())


def test_boxes_are_float32_under_autocast():
    head, maps = build(), pyramid()
    with torch.autocast('cpu', torch.bfloat16):
        result = head._bbox_forward(0, maps, ROIS)
    assert result['cls_score'].dtype == result['bbox_pred'].dtype == torch.float32


def test_several_mask_heads_are_refused():
    mask_head = load('coco_vitdet_cascade_vitb').model.roi_head.mask_head
    with pytest.raises(UserError, match="one mask_head .* type='CascadeRoIHead'"):
        MODELS.get('mae_transfer.CascadeBoxRoIHead').init_mask_head(None, {}, [mask_head] * 3)
