"""MAE pre-training of a 1.2-million-parameter ViT with patches of 8 on the 10 000 training images of 20 classes of Tiny
ImageNet.

The recipe is configs/_base_/mae_pretrain.py at a size for a CPU. Differences: 64 pixels, a ViT of 128 x 6 and a decoder
of 96 x 2, a batch of 64, 45 epochs, a higher learning rate, float32. tools/read_vit.py evaluates the ViT.
Cost and results: docs/results.md.
Train: tools/train.py configs/small/mae_pretrain_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
Test (reconstruction loss): tools/test.py configs/small/mae_pretrain_tin20.py work_dirs/small/mae_pretrain_tin20
    --cfg-options data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/mae_pretrain.py']

data_root = 'data/tinyimagenet20'
image_size = 64
max_epochs = 45
warmup = 2
total_batch_size = 64
base_lr = 3e-3  # 7.5e-4 at 64; small models and short schedules allow more than Table 8's 1.5e-4 per 256

arch = '128x6x4'
model = dict(vit=dict(patch_size=8), decoder=dict(embed_dim=96, depth=2, num_heads=3))

train_dataloader = dict(batch_size=64, num_workers=1)
val_dataloader = dict(batch_size=50, num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(val_interval='${max(1, train_cfg.max_epochs // 9)}')
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 9)}'),
    reconstructions=dict(interval='${max(1, train_cfg.max_epochs // 3)}'),
)
