"""Mask R-CNN with the small ViT of configs/small/mae_pretrain.py, on COCO or a part of it: the chain on real photos, on
a CPU.

The recipe is configs/_base_/coco_maskrcnn.py at a size that a CPU can do; what differs: images of 256 px, no windows
(256 tokens need none) and no relative positions, 64 channels in pyramid and heads, boxes from two linear layers,
LayerNorm for SyncBN, few proposals, 3 epochs at a batch of 4, a higher learning rate with layer decay, flips as the
only augmentation. After minutes of it AP is near zero.
Cost: 4 minutes on one of two shared CPU cores (measured: docs/results.md).
Command: tools/train.py configs/small/coco_maskrcnn.py --work-dir work_dirs/small_coco --cfg-options
    data_root=../shared/data/coco_mini (reads work_dirs/small_mae; pretrained=... for another)
"""

_base_ = ['../_base_/coco_maskrcnn.py']

data_root = 'data/coco_mini/'
pretrained = 'work_dirs/small_mae'
image_size = (256, 256)
total_batch_size = 4
base_lr = 6.4e-2  # 1e-3 at a batch of 4
max_epochs = 3

norm_cfg = dict(
    type='mae_transfer.LayerNorm2d', eps=1e-6
)  # over the channels at each place: no statistics of a small batch
model = dict(
    data_preprocessor=dict(pad_size_divisor=image_size[0]),
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=192, depth=6, num_heads=3),
        img_size=160,
        out_indices=(1, 2, 4, 5),
        window_size=0,
        rel_pos=None,
        rel_pos_img_size=None,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(embed_dim=192, out_channels=64, norm_cfg=norm_cfg),
    rpn_head=dict(in_channels=64, feat_channels=64, num_convs=1),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(
            _delete_=True,
            type='Shared2FCBBoxHead',
            in_channels=64,
            fc_out_channels=256,
            roi_feat_size=7,
            num_classes=80,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[0.1, 0.1, 0.2, 0.2]
            ),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
        mask_roi_extractor=dict(out_channels=64),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64, norm_cfg=norm_cfg),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=300, max_per_img=100),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)),
)

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='Resize', scale=image_size, keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=image_size, keep_ratio=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.8))
param_scheduler = [
    dict(type='mae_transfer.WarmupCosineLR', warmup=0.5, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
log_processor = dict(window_size=10)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=max_epochs))
