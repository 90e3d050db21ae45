"""UperNet with the small ViT of configs/small/mae_pretrain.py, on ADE20K or a part of it: the chain on real photos, on
a CPU.

The recipe is configs/_base_/ade20k_upernet.py at a size that a CPU can do; what differs: images of 192 px, 64 channels
in the head, GroupNorm for SyncBN (batches of 2), 160 iterations, a higher learning rate. After minutes of it mIoU
is near zero.
Cost: 4 minutes on one of two shared CPU cores (measured: docs/results.md).
Command: tools/train.py configs/small/ade20k_upernet.py --work-dir work_dirs/small_ade --cfg-options
    data_root=../shared/data/ade_mini (reads work_dirs/small_mae; pretrained=... for another)
"""

_base_ = ['../_base_/ade20k_upernet.py']

data_root = 'data/ade_mini/'
pretrained = 'work_dirs/small_mae'
crop_size = (192, 192)
total_batch_size = 2
base_lr = 2.56e-1  # 2e-3 at a batch of 2
max_iters = 160

norm_cfg = dict(type='GN', num_groups=8)
head = dict(channels=64, norm_cfg=norm_cfg)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=192, depth=6, num_heads=3),
        img_size=160,
        out_indices=(1, 2, 3, 5),
        rel_pos=None,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(embed_dim=192, scale_norm_cfg=dict(_delete_=True, **norm_cfg)),
    decode_head=dict(in_channels=[192] * 4, **head),
    auxiliary_head=dict(in_channels=192, **head),
    test_cfg=dict(crop_size=crop_size, stride=(128, 128)),
)

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomResize', scale=(768, 192), ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
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
            dict(type='Resize', scale=(768, 192), keep_ratio=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.7))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=10, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=10, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
log_processor = dict(window_size=10)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=max_iters))
