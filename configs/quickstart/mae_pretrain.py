"""MAE pre-training of a 2.3-million-parameter ViT with patches of 8 on the quickstart's generated scenes, a few
minutes.

The recipe is configs/_base_/mae_pretrain.py at a size for a CPU. Differences: crops of 64 pixels at about the scenes'
own scale, a decoder of one block (MAE Table 1a: fine-tuning loses .1), a batch of 64, 4 epochs, a higher learning rate,
float32 (faster than bfloat16 on most CPUs at this size).
Generate the scenes first: tools/python -m mae_transfer.data.scenes work_dirs/quickstart/scenes
Train: tools/train.py configs/quickstart/mae_pretrain.py
Test: tools/test.py configs/quickstart/mae_pretrain.py work_dirs/quickstart/mae_pretrain
"""

_base_ = ['../_base_/mae_pretrain.py']

data_root = 'work_dirs/quickstart/scenes/photos'
image_size = 64
max_epochs = 4
warmup = 0.5
total_batch_size = 64
base_lr = 3e-3  # 7.5e-4 at 64; small models and short schedules allow more than Table 8's 1.5e-4 per 256

arch = '192x5x3'
model = dict(vit=dict(patch_size=8), decoder=dict(embed_dim=128, depth=1, num_heads=4))

train_dataloader = dict(batch_size=64, num_workers=1, dataset=dict(scale=(0.3, 0.6)))
val_dataloader = dict(batch_size=64, num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(val_interval='${max(1, train_cfg.max_epochs // 2)}')
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 2)}'),
    reconstructions=dict(interval='${max(1, train_cfg.max_epochs // 2)}'),
)
