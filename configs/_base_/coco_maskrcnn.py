"""What Mask R-CNN on COCO shares for every ViT: the recipe of MAE App. A.3, which is Li 2021 (arXiv 2111.11429).

Data: coco_lsj.py; RPN and RoI heads: coco_heads.py.
`total_batch_size` is what one optimiser step sees, wherever it runs: tools/train.py works out the accumulation from the
batch of one GPU and the number of GPUs, and the learning rate from `base_lr` (per 256 images). BatchNorm's statistics
are those of the images that all GPUs see at once.
"""

_base_ = ['./coco_lsj.py', './coco_heads.py']

total_batch_size = 64
base_lr = 3.2e-4  # 8e-5 at a batch of 64

# Li 2021 follows every hidden convolution of FPN and heads by BatchNorm; MMDetection's RPN head has no place for it.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    # Windows of 14 x 14 patches, but for one global block at the end of each quarter, which is also where the taps are.
    # The position table is stored for 224 x 224 and resized for the image. One table of relative positions, zero at the
    # start, for all windowed blocks, another for all global ones.
    backbone=dict(
        type='mae_transfer.ViT',
        arch='base',
        img_size=224,
        patch_size=16,
        out_indices=(2, 5, 8, 11),
        class_token=False,
        final_norm=False,
        window_size=14,
        rel_pos='shared',
        rel_pos_img_size=(1024, 1024),
        learn_positions=True,
        drop_path_rate=0.1,
    ),
    neck=dict(
        type='mae_transfer.ViTFPN',
        embed_dim=768,
        out_channels=256,
        num_outs=5,
        scale_norm_cfg=dict(type='GN', num_groups=32),
        norm_cfg=norm_cfg,
    ),
    roi_head=dict(bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)),
)

# No layer-wise decay, no gradient clipping.
optim_wrapper = dict(
    type='mae_transfer.AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='mae_transfer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.1),
)
param_scheduler = [
    dict(type='mae_transfer.WarmupCosineLR', warmup=0.25, end=100, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=5)

default_hooks = dict(checkpoint=dict(interval=1))
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
