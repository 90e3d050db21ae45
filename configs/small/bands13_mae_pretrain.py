"""MAE pre-training of a 0.9-million-parameter ViT on 13 bands of uint16: made-up satellite scenes of 64 pixels.

The recipe is configs/_base_/mae_pretrain.py at a size for a CPU. Differences: bands 1 to 13, crops of 64 pixels at
about the scenes' own scale, patches of 8, a decoder of one block, a batch of 64, 12 epochs, a higher learning rate,
float32. `mean` and `std` are those of the scenes.
Cost: 2 to 5 minutes on one of two shared CPU cores (measured: docs/results.md).
Generate the scenes first: tools/python -m mae_transfer.data.band_scenes work_dirs/bands13/scenes
Train: tools/train.py configs/small/bands13_mae_pretrain.py
Test: tools/test.py configs/small/bands13_mae_pretrain.py work_dirs/small/bands13_mae_pretrain
RGB alone, from the same files: --cfg-options bands=4,3,2 mean=1863,1947,1839 std=2176,2145,2253
"""

_base_ = ['../_base_/mae_pretrain.py']

data_root = 'work_dirs/bands13/scenes/photos'
image_size = 64
bands = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)  # Sentinel-2's B01 to B12, with B8A as the ninth
mean = (1799, 1839, 1947, 1863, 2012, 2400, 2562, 2652, 2711, 2198, 71, 1952, 1460)
std = (2200, 2253, 2145, 2176, 2079, 1939, 1885, 1858, 1815, 1415, 111, 1488, 1271)
max_epochs = 12
warmup = 1
total_batch_size = 64
base_lr = 6e-3  # 1.5e-3 at 64; small models and short schedules allow more than Table 8's 1.5e-4 per 256

arch = '128x4x4'
model = dict(vit=dict(patch_size=8), decoder=dict(embed_dim=96, depth=1, num_heads=4))

train_dataloader = dict(batch_size=64, num_workers=0, dataset=dict(scale=(0.3, 1.0)))
val_dataloader = dict(batch_size=64, num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(val_interval='${train_cfg.max_epochs}')
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval='${train_cfg.max_epochs}'),
    reconstructions=dict(interval='${train_cfg.max_epochs}'),
)
