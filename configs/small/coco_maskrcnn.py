"""Mask R-CNN with the small ViT of configs/small/mae_pretrain.py on COCO or a part of it: all steps on real photos, on
a CPU.

The recipe is configs/_base_/coco_maskrcnn.py at a size for a CPU. Differences: images of 256 pixels, no windows (there
are only 256 tokens) and no relative positions, 64 channels in the pyramid and the heads, a box head of two linear
layers, LayerNorm instead of SyncBN, fewer proposals, 3 epochs at a batch of 4, a higher learning rate with layer decay,
flips as the only augmentation, float32. After these few minutes AP is near zero.
Cost: 4 minutes on one of two shared CPU cores (measured: docs/results.md).
It starts from work_dirs/small_mae, the result of configs/small/mae_pretrain.py; pretrained=... for other weights.
Train: tools/train.py configs/small/coco_maskrcnn.py --work-dir work_dirs/small_coco
    --cfg-options data_root=../shared/data/coco_mini
Test: tools/test.py configs/small/coco_maskrcnn.py work_dirs/small_coco
    --cfg-options data_root=../shared/data/coco_mini
"""

_base_ = ['../_base_/coco_maskrcnn.py']

data_root = 'data/coco_mini'
pretrained = 'work_dirs/small_mae'
image_size = (256, 256)
max_epochs = 3
warmup = 0.5
total_batch_size = 4
base_lr = 6.4e-2  # 1e-3 at a batch of 4

# It normalises over the channels, at each position: the batch is too small for its own statistics.
norm_cfg = dict(_delete_=True, type='mae_transfer.LayerNorm2d', eps=1e-6)
arch = '192x6x3'
model = dict(
    backbone=dict(img_size=160, out_indices=(1, 2, 4, 5), window_size=0, rel_pos='${start(init).rel_pos}'),
    neck=dict(out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64, num_convs=1),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(
            _delete_=True,
            type='Shared2FCBBoxHead',
            in_channels=64,
            fc_out_channels=256,
            roi_feat_size=7,
            num_classes='${class_count(classes, 80)}',
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[0.1, 0.1, 0.2, 0.2]
            ),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
        mask_roi_extractor=dict(out_channels=64),
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64),
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
    dataset=dict(
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='Resize', scale='${pair(image_size)}', keep_ratio=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    ),
)
val_dataloader = dict(num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.8))
train_cfg = dict(val_interval='${max(train_cfg.max_epochs // 16, min(train_cfg.max_epochs, 4))}')
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval='${max(train_cfg.max_epochs // 16, min(train_cfg.max_epochs, 4))}'),
)
log_processor = dict(window_size=10)
