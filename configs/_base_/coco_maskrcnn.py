"""Common settings of Mask R-CNN on COCO for every ViT: the recipe of MAE App. A.3, which is Li 2021 (arXiv 2111.11429).

Data: coco_lsj.py; RPN and RoI heads: coco_heads.py.

Named settings, in addition to those of coco_lsj.py:
- `pretrained`: work_dir of a pre-training, or a file of weights; 'none' for random weights.
- `arch`: size of the ViT; that of `init`, where this names one.
- `max_epochs`: length of the run, which the schedule and the validations follow. `warmup`: epochs before the full
  learning rate. `repeat`: passes over the images in one epoch, for small sets, whose epochs would be few steps.
- `total_batch_size`: images per optimiser step on any number of GPUs; the runner accumulates gradients accordingly.
  BatchNorm uses the statistics of the images that all GPUs process at once.
- `base_lr`: learning rate per 256 images of `total_batch_size`.
- `norm_cfg`: the norm of the FPN's convolutions and of the heads.
"""

_base_ = ['./coco_lsj.py', './coco_heads.py']

pretrained = 'work_dirs/mae_pretrain_vitb'
arch = 'base'
max_epochs = 100
warmup = 0.25  # epochs
repeat = 1
total_batch_size = 64
base_lr = "${recipe(init, arch, 'coco_maskrcnn.base_lr', 3.2e-4)}"  # 8e-5 at a batch of 64

# Li 2021 has BatchNorm after every hidden convolution of FPN and heads; MMDetection's RPN head has no setting for it.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    # Windows of 14 x 14 patches, except for a global block at the end of each quarter; the pyramid uses the output of
    # the global blocks. The position embedding is stored for 224 x 224 and resized to the image. All windowed blocks
    # share one table of relative positions, all global blocks another; both start as zero.
    backbone=dict(
        type='mae_transfer.ViT',
        arch='${start(init, arch).arch}',
        design='${start(init, arch).windowed_design}',
        img_size=224,
        in_channels='${channel_count(bands)}',
        patch_size='${start(init, arch).patch_size or 16}',
        out_indices=(1 / 4, 2 / 4, 3 / 4, 1.0),
        class_token=False,
        final_norm=False,
        window_size=14,
        rel_pos="${start(init).rel_pos_or('shared')}",
        rel_pos_img_size='${table_size(model.backbone, model.data_preprocessor.pad_size_divisor)}',
        rotary_img_size='${start(init).rotary_img_size}',
        learn_positions=True,
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='${pretrained}'),
    ),
    neck=dict(
        type='mae_transfer.ViTFPN',
        embed_dim='${size(model.backbone.arch).embed_dim}',
        out_channels=256,
        num_outs=5,
        scale_norm_cfg=dict(type='GN', num_groups=32),
        norm_cfg='${norm_cfg}',
    ),
    roi_head=dict(bbox_head=dict(norm_cfg='${norm_cfg}'), mask_head=dict(norm_cfg='${norm_cfg}')),
)

train_dataloader = dict(repeat='${repeat}')

# No layer-wise decay, no gradient clipping.
optim_wrapper = dict(
    type='mae_transfer.AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='mae_transfer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
    optimizer=dict(
        type='AdamW',
        betas=(0.9, 0.999),
        weight_decay="${recipe(init, arch, 'coco_maskrcnn.weight_decay', 0.1)}",
        fused=True,
    ),
)
param_scheduler = [
    dict(type='mae_transfer.WarmupCosineLR', warmup='${warmup}', by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(
    type='mae_transfer.EpochBasedTrainLoop',
    max_epochs='${max_epochs}',
    val_interval='${max(1, train_cfg.max_epochs // 20)}',
)

default_hooks = dict(checkpoint=dict(interval=1))
log_processor = dict(type='mae_transfer.LogProcessor', window_size=50, by_epoch=True)
