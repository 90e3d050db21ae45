"""UperNet with the small ViT of configs/small/mae_pretrain.py on ADE20K or a part of it: all steps on real photos, on a
CPU.

The recipe is configs/_base_/ade20k_upernet.py at a size for a CPU. Differences: images of 192 pixels, no relative
positions, 64 channels in the heads, GroupNorm instead of SyncBN (batches of 2), 160 iterations, a higher learning rate,
float32. After these few minutes mIoU is near zero.
Cost: 4 minutes on one of two shared CPU cores (measured: docs/results.md).
It starts from work_dirs/small_mae, the result of configs/small/mae_pretrain.py; pretrained=... for other weights.
Train: tools/train.py configs/small/ade20k_upernet.py --work-dir work_dirs/small_ade
    --cfg-options data_root=../shared/data/ade_mini
Test: tools/test.py configs/small/ade20k_upernet.py work_dirs/small_ade
    --cfg-options data_root=../shared/data/ade_mini
"""

_base_ = ['../_base_/ade20k_upernet.py']

data_root = 'data/ade_mini'
pretrained = 'work_dirs/small_mae'
crop_size = (192, 192)
max_iters = 160
warmup = 10
total_batch_size = 2
base_lr = 2.56e-1  # 2e-3 at a batch of 2

norm_cfg = dict(_delete_=True, type='GN', num_groups=8)
arch = '192x6x3'
model = dict(
    backbone=dict(img_size=160, out_indices=(1, 2, 3, 5), rel_pos='${start(init).rel_pos}'),
    decode_head=dict(channels=64),
    auxiliary_head=dict(channels=64),
)

train_dataloader = dict(batch_size=2, num_workers=0)
val_dataloader = dict(num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.7))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end='${warmup}', by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin='${warmup}', by_epoch=False),
]
train_cfg = dict(val_interval='${max(train_cfg.max_iters // 16, min(train_cfg.max_iters, 160))}')
log_processor = dict(window_size=10)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval='${max(train_cfg.max_iters // 16, min(train_cfg.max_iters, 160))}'),
)
