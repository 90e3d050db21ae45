"""MAE pre-training of a 2.8-million-parameter ViT on 1000 photos, 210 iterations: all steps on real photos, on a CPU.

The recipe is configs/_base_/mae_pretrain.py at a size for a CPU. Differences: crops of 160 pixels, a ViT of 192 x 6 and
a decoder of 128 x 2, a batch of 32, 7 epochs, a higher learning rate, float32. It shows that training works and that
the loss falls; good features need much longer training.
Cost: 3 minutes on one of two shared CPU cores (measured: docs/results.md).
Train: tools/train.py configs/small/mae_pretrain.py --work-dir work_dirs/small_mae
    --cfg-options data_root=../shared/data/photos1k
Test: tools/test.py configs/small/mae_pretrain.py work_dirs/small_mae --cfg-options data_root=../shared/data/photos1k
"""

_base_ = ['../_base_/mae_pretrain.py']

data_root = 'data/photos1k'
image_size = 160
max_epochs = 7
warmup = 1
total_batch_size = 32
base_lr = 6e-3  # 7.5e-4 at 32; small models and short schedules allow more than Table 8's 1.5e-4 per 256

arch = '192x6x3'
model = dict(decoder=dict(embed_dim=128, depth=2, num_heads=4))

train_dataloader = dict(batch_size=32, num_workers=1)
val_dataloader = dict(batch_size=20, num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(val_interval='${max(train_cfg.max_epochs // 16, min(train_cfg.max_epochs, 7))}')
log_processor = dict(window_size=5)
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(interval='${max(train_cfg.max_epochs // 16, min(train_cfg.max_epochs, 7))}'),
    reconstructions=dict(interval='${max(train_cfg.max_epochs // 16, min(train_cfg.max_epochs, 7))}'),
)
