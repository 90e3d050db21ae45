"""What Mask R-CNN on COCO shares for every ViT: the recipe of MAE App. A.3, which is Li 2021 (arXiv 2111.11429).

`data_root` is a folder in COCO 2017's layout: `annotations/instances_{train,val}2017.json`, `train2017/`, `val2017/`.
`total_batch_size` is what one optimiser step sees, wherever it runs: tools/train.py works out the accumulation from the batch
of one GPU and the number of GPUs, and the learning rate from `base_lr` (per 256 images). BatchNorm's statistics are those of
the images that all GPUs see at once.
"""
_base_ = './dense_runtime.py'
default_scope = 'mmdet'

data_root = 'data/coco/'
image_size = (1024, 1024)  # square: the data preprocessor pads to a multiple of its side
total_batch_size = 64
base_lr = 3.2e-4  # 8e-5 at a batch of 64

# Li 2021 follows every hidden convolution of FPN and heads by BatchNorm; MMDetection's RPN head has no place for it.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='MaskRCNN',
    # Normalised first, so that the padding is zero where the ViT sees it. Also at test: less padding loses .5 to 1 AP (Li 2021).
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=image_size[0]),
    # Windows of 14 x 14 patches, but for one global block at the end of each quarter, which is also where the taps are. The
    # position table is stored for 224 x 224 and resized for the image.
    backbone=dict(
        type='mae_transfer.ViT',
        arch='base',
        img_size=224,
        patch_size=16,
        out_indices=(2, 5, 8, 11),
        class_token=False,
        final_norm=False,
        window_size=14,
        learn_positions=True,
        drop_path_rate=.1),
    neck=dict(
        type='mae_transfer.ViTFPN',
        embed_dim=768,
        out_channels=256,
        num_outs=5,
        scale_norm_cfg=dict(type='GN', num_groups=32),
        norm_cfg=norm_cfg),
    rpn_head=dict(
        type='RPNHead',
        in_channels=256,
        feat_channels=256,
        num_convs=2,
        anchor_generator=dict(type='AnchorGenerator', scales=[8], ratios=[.5, 1., 2.], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.], target_stds=[1., 1., 1., 1.]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.),
        loss_bbox=dict(type='L1Loss', loss_weight=1.)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes=80,
            norm_cfg=norm_cfg,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.], target_stds=[.1, .1, .2, .2]),
            reg_class_agnostic=False,
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.),
            loss_bbox=dict(type='L1Loss', loss_weight=1.)),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        mask_head=dict(
            type='FCNMaskHead',
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            num_classes=80,
            norm_cfg=norm_cfg,
            loss_mask=dict(type='CrossEntropyLoss', use_mask=True, loss_weight=1.))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=.7, neg_iou_thr=.3, min_pos_iou=.3, match_low_quality=True,
                ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=256, pos_fraction=.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
            debug=False),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner', pos_iou_thr=.5, neg_iou_thr=.5, min_pos_iou=.5, match_low_quality=False,
                ignore_iof_thr=-1),
            sampler=dict(type='RandomSampler', num=512, pos_fraction=.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            mask_size=28,
            pos_weight=-1,
            debug=False)),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000, nms=dict(type='nms', iou_threshold=.7), min_bbox_size=0),
        rcnn=dict(score_thr=.05, nms=dict(type='nms', iou_threshold=.5), max_per_img=100, mask_thr_binary=.5)))

# Large-scale jitter. The flip comes first: it commutes with the rest, and there the image is still small.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=.5),
    dict(type='RandomResize', scale=image_size, ratio_range=(.1, 2.), keep_ratio=True),
    dict(type='RandomCrop', crop_type='absolute', crop_size=image_size, recompute_bbox=True, allow_negative_crop=True),
    # keep_empty=True would mean: draw another image. A crop that shows no object is kept, as background.
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', ann_file=data_root + 'annotations/instances_val2017.json', metric=['bbox', 'segm'])
test_evaluator = val_evaluator

# No layer-wise decay, no gradient clipping.
optim_wrapper = dict(
    type='mae_transfer.AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='mae_transfer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.),
    optimizer=dict(type='AdamW', betas=(.9, .999), weight_decay=.1))
param_scheduler = [
    dict(type='mae_transfer.WarmupCosineLR', warmup=.25, end=100, by_epoch=True, convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(checkpoint=dict(interval=1), visualization=dict(type='DetVisualizationHook'))
visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
