"""UperNet on 13 bands of uint16, with the ViT of configs/small/bands13_mae_pretrain.py: made-up satellite scenes whose
classes include two pairs that look the same in RGB.

The recipe is configs/_base_/ade20k_upernet.py at a size for a CPU. Differences: bands 1 to 13, crops of 64 pixels,
patches of 8, no relative positions, 48 channels in the heads, BatchNorm instead of SyncBN, 120 iterations of 8 scenes,
a higher learning rate, whole images in tests, float32. `mean` and `std` are those of the pre-training.
Cost: a minute on one of two shared CPU cores (measured: docs/results.md).
It starts from work_dirs/small/bands13_mae_pretrain; pretrained=none for random weights.
Train: tools/train.py configs/small/bands13_upernet.py
Test: tools/test.py configs/small/bands13_upernet.py work_dirs/small/bands13_upernet
RGB alone, from the same files: --cfg-options bands=4,3,2 mean=1863,1947,1839 std=2176,2145,2253 pretrained=...
"""

_base_ = ['../_base_/ade20k_upernet.py']

data_root = 'work_dirs/bands13/scenes'
classes = ('water', 'bare soil', 'forest', 'meadow', 'artificial turf', 'snow', 'cloud')
pretrained = 'work_dirs/small/bands13_mae_pretrain'
crop_size = (64, 64)
bands = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)  # Sentinel-2's B01 to B12, with B8A as the ninth
mean = (1799, 1839, 1947, 1863, 2012, 2400, 2562, 2652, 2711, 2198, 71, 1952, 1460)
std = (2200, 2253, 2145, 2176, 2079, 1939, 1885, 1858, 1815, 1415, 111, 1488, 1271)
max_iters = 120
warmup = 10
total_batch_size = 8
base_lr = 3.2e-2  # 1e-3 at a batch of 8

norm_cfg = dict(_delete_=True, type='BN')
arch = '128x4x4'
model = dict(
    backbone=dict(patch_size=8, out_indices=(0, 1, 2, 3), rel_pos='${start(init).rel_pos}'),
    decode_head=dict(channels=48),
    auxiliary_head=dict(channels=48),
    test_cfg=dict(_delete_=True, mode='whole'),
)

train_dataloader = dict(batch_size=8, num_workers=0)
val_dataloader = dict(num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.8))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end='${warmup}', by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin='${warmup}', by_epoch=False),
]
train_cfg = dict(val_interval='${train_cfg.max_iters}')
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval='${train_cfg.max_iters}'))
