"""Mask R-CNN with the quickstart's ViT on its made-up scenes: six classes, 96 labelled scenes of 96 px.

The recipe is configs/_base_/coco_maskrcnn.py at a size that a CPU does in two minutes; what differs: no windows (144
tokens need none) and no relative positions, 48 channels in pyramid and heads, boxes from two linear layers, few
proposals, 8 epochs at a batch of 4, a higher learning rate with layer decay, flips as the only augmentation.
Command: tools/train.py configs/quickstart/maskrcnn.py, then tools/test.py configs/quickstart/maskrcnn.py
work_dirs/quickstart/maskrcnn
"""

_base_ = ['../_base_/coco_maskrcnn.py']

data_root = 'work_dirs/quickstart/scenes/coco/'
pretrained = 'configs/quickstart/vit_scenes.safetensors'
image_size = (96, 96)
total_batch_size = 4
base_lr = 6.4e-2  # 1e-3 at a batch of 4
max_epochs = 8

strides = [2, 4, 8, 16]  # patches of 8: half of what patches of 16 give
model = dict(
    data_preprocessor=dict(pad_size_divisor=image_size[0]),
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=192, depth=5, num_heads=3),
        img_size=64,
        patch_size=8,
        out_indices=(1, 2, 3, 4),
        window_size=0,
        rel_pos=None,
        rel_pos_img_size=None,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(embed_dim=192, out_channels=48, num_outs=4, norm_cfg=None),
    rpn_head=dict(in_channels=48, feat_channels=48, num_convs=1, anchor_generator=dict(strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=2), out_channels=48, featmap_strides=strides, finest_scale=12
        ),
        bbox_head=dict(
            _delete_=True,
            type='Shared2FCBBoxHead',
            in_channels=48,
            fc_out_channels=256,
            roi_feat_size=7,
            num_classes=6,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[0.1, 0.1, 0.2, 0.2]
            ),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
        mask_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=2), out_channels=48, featmap_strides=strides, finest_scale=12
        ),
        mask_head=dict(num_convs=2, in_channels=48, conv_out_channels=48, num_classes=6, norm_cfg=None),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)), rpn_proposal=dict(nms_pre=300, max_per_img=100), rcnn=dict(sampler=dict(num=48))
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)),
)

metainfo = dict(classes=('striped disc', 'dotted disc', 'striped box', 'checked box', 'dotted star', 'striped ring'))
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
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
        metainfo=metainfo,
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
    dict(type='mae_transfer.WarmupCosineLR', warmup=1, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
default_hooks = dict(logger=dict(interval=8), checkpoint=dict(interval=max_epochs))
