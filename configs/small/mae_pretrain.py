"""MAE pre-training of a 2.7-million-parameter ViT on 1000 photos, 210 iterations: the chain on real photos, on a CPU.

The recipe is configs/_base_/mae_pretrain.py at a size that a CPU can do; what differs: crops of 160 px, a ViT of 192 x
6 and a decoder of 128 x 2, a batch of 32, 7 epochs, a higher learning rate, float32. It shows that the chain runs and
that the loss falls; features need far more.
Cost: 3 minutes on one of two shared CPU cores (measured: docs/results.md).
Command: tools/train.py configs/small/mae_pretrain.py --work-dir work_dirs/small_mae --cfg-options
data_root=../shared/data/photos1k
"""

_base_ = ['../_base_/mae_pretrain.py']

data_root = 'data/photos1k/'
total_batch_size = 32
base_lr = 6e-3  # 7.5e-4 at 32; small models and short schedules bear more than Table 8's 1.5e-4 per 256
max_epochs = 7

model = dict(
    vit=dict(arch=dict(_delete_=True, embed_dim=192, depth=6, num_heads=3), img_size=160),
    decoder=dict(embed_dim=128, depth=2, num_heads=4),
)

photos = dict(data_root=data_root)
train_dataloader = dict(batch_size=32, num_workers=1, dataset=photos)
val_dataloader = dict(batch_size=20, num_workers=0, persistent_workers=False, dataset=photos)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(max_epochs=max_epochs, val_interval=7)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1, end=max_epochs, by_epoch=True, convert_to_iter_based=True)]
log_processor = dict(window_size=5)
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=7))
custom_hooks = [
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
    dict(type='ReconstructionHook', interval=7),
    dict(type='FitTargetHook'),  # for targets that follow from the photos; nothing for pixels
]
