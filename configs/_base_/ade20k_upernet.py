"""What UperNet on ADE20K shares for every ViT: the recipe of implus/mae_segmentation, which MMSegmentation took over
from it.

It is BEiT's (semantic_segmentation/) for MAE's weights: taps after 1/3, 1/2, 2/3 and all of the blocks; deconvolutions
and a pooling to strides 4 to 32; an FCN head beside UperNet's, on the third tap (stride 16), with .4 of the loss; per
block a table of relative positions that starts at zero, beside the position table of the pre-training.

`data_root` is a folder in ADEChallengeData2016's layout: `images/{training,validation}/`,
`annotations/{training,validation}/`. Own classes: `classes`, names or a file with one a line; None for ADE20K's 150.
`total_batch_size` is what one optimiser step sees, wherever it runs: tools/train.py works out the accumulation from the
batch of one GPU and the number of GPUs, and the learning rate from `base_lr` (per 256 images). BatchNorm's statistics
are those of the images that all GPUs see at once.

Iterations here are optimiser steps: 160k at a batch of 16 are about 127 epochs. MAE's paper (App. A.4) trains for 100
epochs and publishes no other value.

Testing: windows of the crop's size slide over the image (`--cfg-options model.test_cfg.mode=whole` for whole images),
which may have any size; predictions are judged at the image's own. `tools/test.py --tta` averages those of `tta`: the
image at six scales, as it is and mirrored, as BEiT's and MMSegmentation's multi-scale numbers. Theirs raise what is
smaller than the crop to it, so that their three smallest scales are one; here each is what it says, the tables of
relative positions following its size.
"""

_base_ = './dense_runtime.py'
default_scope = 'mmseg'

data_root = 'data/ade/ADEChallengeData2016/'
classes = None
crop_size = (512, 512)
total_batch_size = 16
base_lr = 1.6e-3  # 1e-4 at a batch of 16

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    # Crops of images smaller than the crop are padded to it. Nothing is padded at test but what the ViT is given, and
    # its prediction is cut again.
    type='mae_transfer.AnySizeSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=crop_size,
    ),
    backbone=dict(
        type='mae_transfer.ViT',
        arch='base',
        img_size=crop_size,
        patch_size=16,
        out_indices=(3, 5, 7, 11),
        class_token=True,
        final_norm=False,
        learn_positions=True,
        rel_pos='table',
        drop_path_rate=0.1,
    ),
    neck=dict(type='mae_transfer.ViTFPN', embed_dim=768, out_channels=None, scale_norm_cfg=norm_cfg),
    decode_head=dict(
        type='UPerHead',
        in_channels=[768, 768, 768, 768],
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=768,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=768,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=150,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(341, 341)),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
# The annotation comes after the resizing: predictions are judged at the image's own size.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 512), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
# reduce_zero_label: label 0 ("other") is ignored, and classes 1..150 become 0..149.
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mae_transfer.LabelledScenes',
        data_root=data_root,
        reduce_zero_label=True,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mae_transfer.LabelledScenes',
        data_root=data_root,
        reduce_zero_label=True,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])  # mAcc and aAcc come along
test_evaluator = val_evaluator
tta = dict(scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75), flip=True)  # for tools/test.py --tta

# No gradient clipping.
optim_wrapper = dict(
    type='mae_transfer.AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='mae_transfer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=0.65),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.05),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=1500, end=160000, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=16000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(interval=4000, by_epoch=False),
    visualization=dict(type='SegVisualizationHook'),
)
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
