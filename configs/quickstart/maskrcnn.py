"""Mask R-CNN with the quickstart's ViT on its generated scenes: six classes, 96 labelled scenes of 96 pixels.

The recipe is configs/_base_/coco_maskrcnn.py at a size that takes a CPU two minutes. Differences: patches of 8, no
windows (there are only 144 tokens) and no relative positions, 48 channels and no norms in the FPN and the heads, a box
head of two linear layers, fewer proposals, 8 epochs at a batch of 4, a higher learning rate with layer decay, flips as
the only augmentation, float32.
Train: tools/train.py configs/quickstart/maskrcnn.py
Test: tools/test.py configs/quickstart/maskrcnn.py work_dirs/quickstart/maskrcnn
"""

_base_ = ['../_base_/coco_maskrcnn.py']

data_root = 'work_dirs/quickstart/scenes/coco'
classes = ('striped disc', 'dotted disc', 'striped box', 'checked box', 'dotted star', 'striped ring')
pretrained = 'configs/quickstart/vit_scenes.safetensors'
image_size = (96, 96)
max_epochs = 8
warmup = 1
total_batch_size = 4
base_lr = 6.4e-2  # 1e-3 at a batch of 4

norm_cfg = None
strides = [2, 4, 8, 16]  # for patches of 8: half of those for patches of 16
arch = '192x5x3'
model = dict(
    backbone=dict(img_size=64, patch_size=8, out_indices=(1, 2, 3, 4), window_size=0, rel_pos='${start(init).rel_pos}'),
    neck=dict(out_channels=48, num_outs=4),
    rpn_head=dict(in_channels=48, feat_channels=48, num_convs=1, anchor_generator=dict(strides='${strides}')),
    roi_head=dict(
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=2), out_channels=48, featmap_strides='${strides}', finest_scale=12
        ),
        bbox_head=dict(
            _delete_=True,
            type='Shared2FCBBoxHead',
            in_channels=48,
            fc_out_channels=256,
            roi_feat_size=7,
            num_classes='${class_count(classes, 80)}',
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder', target_means=[0.0, 0.0, 0.0, 0.0], target_stds=[0.1, 0.1, 0.2, 0.2]
            ),
            loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='L1Loss', loss_weight=1.0),
        ),
        mask_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=2), out_channels=48, featmap_strides='${strides}', finest_scale=12
        ),
        mask_head=dict(num_convs=2, in_channels=48, conv_out_channels=48),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)), rpn_proposal=dict(nms_pre=300, max_per_img=100), rcnn=dict(sampler=dict(num=48))
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
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]
    ),
)
val_dataloader = dict(num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.8))
train_cfg = dict(val_interval='${train_cfg.max_epochs}')
default_hooks = dict(logger=dict(interval=8), checkpoint=dict(interval='${train_cfg.max_epochs}'))
