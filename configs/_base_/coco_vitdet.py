"""Common settings of ViTDet on COCO for every ViT: detectron2's `projects/ViTDet/configs/COCO/mask_rcnn_vitdet_*.py`
(arXiv 2203.16527).

Data: coco_lsj.py; RPN and RoI heads: coco_heads.py.

Named settings, in addition to those of coco_lsj.py:
- `pretrained`: work_dir of a pre-training, or a file of weights; 'none' for random weights.
- `arch`: size of the ViT; that of `init`, where this names one.
- `max_iters`: length of the run in optimiser steps: 184375 at a batch of 64 are 100 epochs. The schedule and all
  intervals follow, and, unless it is set, `warmup`: steps before the full learning rate.
- `total_batch_size`: images per optimiser step on any number of GPUs; the runner accumulates gradients accordingly.
- `base_lr`: learning rate per 256 images of `total_batch_size`.
- `norm_cfg`: the norm of the box and mask heads.

Differences from the original: bfloat16 (the original has float16: `tools/train.py --amp fp16`), gradients are exchanged
in float32, and the LayerNorms of pyramid and heads have no weight decay, like all other norms (the original intends
this, too, but does not recognise its own LayerNorm class).
"""

_base_ = ['./coco_lsj.py', './coco_heads.py']

pretrained = 'work_dirs/mae_pretrain_vitb'
arch = 'base'
max_iters = 184375
warmup = '${-(-train_cfg.max_iters * 250 // 184375)}'  # steps: 250 of 184375, as in the original
total_batch_size = 64
base_lr = 4e-4  # 1e-4 at a batch of 64

# It normalises over the channels, at each position. The RPN has no norm, as in the original.
norm_cfg = dict(type='mae_transfer.LayerNorm2d', eps=1e-6)
model = dict(
    # Windows of 14 x 14 patches, except for a global block at the end of each quarter; the pyramid uses only the output
    # of the last block. The position embedding is stored for 224 x 224 and resized to the image. Relative positions are
    # decomposed into rows and columns.
    backbone=dict(
        type='mae_transfer.ViT',
        arch='${start(init, arch).arch}',
        design='${start(init, arch).windowed_design}',
        img_size=224,
        in_channels='${channel_count(bands)}',
        patch_size='${start(init, arch).patch_size or 16}',
        out_indices=(-1,),
        class_token=False,
        final_norm=False,
        window_size=14,
        rel_pos="${start(init).rel_pos_or('decomposed')}",
        rel_pos_img_size='${table_size(model.backbone, model.data_preprocessor.pad_size_divisor)}',
        rotary_img_size='${start(init).rotary_img_size}',
        learn_positions=True,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='${pretrained}'),
    ),
    neck=dict(
        type='mae_transfer.SimpleFeaturePyramid',
        embed_dim='${size(model.backbone.arch).embed_dim}',
        out_channels=256,
        num_outs=5,
    ),
    roi_head=dict(bbox_head=dict(norm_cfg='${norm_cfg}'), mask_head=dict(norm_cfg='${norm_cfg}')),
)

# No gradient clipping. Weight decay for biases, but not for norms and the position embedding.
optim_wrapper = dict(
    type='mae_transfer.AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='mae_transfer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=0.7, no_decay_kind='norms', no_decay_names=('pos_embed',)),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.1, fused=True),
)
# The full learning rate from step `warmup` on (LinearLR reaches it at end - 1); a tenth of it after 8/9 of the run, a
# hundredth after 26/27.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end='${warmup + 1}', by_epoch=False),
    dict(
        type='MultiStepLR',
        milestones=['${round(train_cfg.max_iters * 8 / 9)}', '${round(train_cfg.max_iters * 26 / 27)}'],
        gamma=0.1,
        by_epoch=False,
    ),
]
train_dataloader = dict(sampler=dict(type='mae_transfer.SeededInfiniteSampler'))
train_cfg = dict(
    type='mae_transfer.IterBasedTrainLoop',
    max_iters='${max_iters}',
    val_interval='${max(1, round(train_cfg.max_iters * 5000 / 184375))}',
)

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(interval='${max(1, round(train_cfg.max_iters * 5000 / 184375))}', by_epoch=False),
)
log_processor = dict(type='mae_transfer.LogProcessor', window_size=50, by_epoch=False)
