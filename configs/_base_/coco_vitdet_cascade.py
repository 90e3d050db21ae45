"""Common settings of ViTDet with cascaded box heads for every ViT: detectron2's `cascade_mask_rcnn_vitdet_*.py` (arXiv
2203.16527).

Three box heads, each on the boxes of the one before, for an IoU of .5, .6 and .7 and with smaller and smaller units of
the box regression, which is shared by all classes; one mask head. The rest is coco_vitdet.py.
mae_transfer.CascadeBoxRoIHead documents how it follows the original and differs from MMDetection's `CascadeRoIHead`.
"""

_base_ = ['./coco_vitdet.py']

# The standard deviations 1/10 and 1/5, 1/20 and 1/10, 1/30 and 1/15 are the weights 10 and 5, 20 and 10, 30 and 15 of
# the original.
box_heads = [
    dict(
        type='Shared4Conv1FCBBoxHead',
        in_channels=256,
        conv_out_channels=256,
        fc_out_channels=1024,
        roi_feat_size=7,
        num_classes='${class_count(classes, 80)}',
        norm_cfg='${norm_cfg}',
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=stds),
        reg_class_agnostic=True,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type='L1Loss', loss_weight=1.0),
    )
    for stds in ([1 / 10, 1 / 10, 1 / 5, 1 / 5], [1 / 20, 1 / 20, 1 / 10, 1 / 10], [1 / 30, 1 / 30, 1 / 15, 1 / 15])
]
# Regions are sampled for the first head; the other heads train on all boxes of the head before them.
stages = [
    dict(
        assigner=dict(
            type='MaxIoUAssigner',
            pos_iou_thr=iou,
            neg_iou_thr=iou,
            min_pos_iou=iou,
            match_low_quality=False,
            ignore_iof_thr=-1,
        ),
        sampler=sampler,
        mask_size=28,
        pos_weight=-1,
        debug=False,
    )
    for iou, sampler in [
        (0.5, dict(type='RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True)),
        (0.6, dict(type='PseudoSampler')),
        (0.7, dict(type='PseudoSampler')),
    ]
]
model = dict(
    roi_head=dict(
        type='mae_transfer.CascadeBoxRoIHead', num_stages=3, stage_loss_weights=[1.0, 1.0, 1.0], bbox_head=box_heads
    ),
    train_cfg=dict(rcnn=stages),
)
del box_heads, stages
