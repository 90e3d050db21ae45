"""What ViTDet on COCO shares for every ViT: detectron2's `projects/ViTDet/configs/COCO/mask_rcnn_vitdet_*.py` (arXiv
2203.16527).

Data: coco_lsj.py; RPN and RoI heads: coco_heads.py.
`total_batch_size` is what one optimiser step sees, wherever it runs: tools/train.py works out the accumulation from the
batch of one GPU and the number of GPUs, and the learning rate from `base_lr` (per 256 images). Iterations here are
optimiser steps: 184375 at a batch of 64 are 100 epochs.

As the original but for: bfloat16 (the original: float16; `tools/train.py --amp fp16`), no float16 in the exchange of
gradients, and the LayerNorms of pyramid and heads, which have no weight decay like every other norm (the original means
the same, and misses them because they are a class of its own).
"""

_base_ = ['./coco_lsj.py', './coco_heads.py']

total_batch_size = 64
base_lr = 4e-4  # 1e-4 at a batch of 64

# Over the channels at each place. The original's RPN has no norm either.
norm_cfg = dict(type='mae_transfer.LayerNorm2d', eps=1e-6)
model = dict(
    # Windows of 14 x 14 patches, but for one global block at the end of each quarter; the pyramid stands on the last
    # block alone. The position table is stored for 224 x 224 and resized for the image; relative positions by rows and
    # columns.
    backbone=dict(
        type='mae_transfer.ViT',
        arch='base',
        img_size=224,
        patch_size=16,
        out_indices=(-1,),
        class_token=False,
        final_norm=False,
        window_size=14,
        rel_pos='decomposed',
        rel_pos_img_size=(1024, 1024),
        learn_positions=True,
        drop_path_rate=0.1,
    ),
    neck=dict(type='mae_transfer.SimpleFeaturePyramid', embed_dim=768, out_channels=256, num_outs=5),
    roi_head=dict(bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)),
)

# No gradient clipping. Biases are decayed, norms and the position table are not.
optim_wrapper = dict(
    type='mae_transfer.AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='mae_transfer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=0.7, undecayed='norms', no_decay=('pos_embed',)),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.1),
)
# The full rate from step 250 on (LinearLR's last step is end - 1), then a tenth and a hundredth of it.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, begin=0, end=251, by_epoch=False),
    dict(type='MultiStepLR', milestones=[163889, 177546], gamma=0.1, by_epoch=False),
]
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=184375, val_interval=5000)

default_hooks = dict(logger=dict(log_metric_by_epoch=False), checkpoint=dict(interval=5000, by_epoch=False))
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
