"""MAE pre-training of a 1.2-million-parameter ViT, patches of 8, on the 10 000 training images of 20 classes of Tiny
ImageNet.

The recipe is configs/_base_/mae_pretrain.py at a size that a CPU can do; what differs: 64 px, a ViT of 128 x 6 and a
decoder of 96 x 2, a batch of 64, 45 epochs, a higher learning rate, float32. tools/read_vit.py tells what it is worth.
Cost and figures: docs/results.md.
Command: tools/train.py configs/small/mae_pretrain_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/mae_pretrain.py']

data_root = 'data/tinyimagenet20/'
total_batch_size = 64
base_lr = 3e-3  # 7.5e-4 at 64; small models and short schedules bear more than Table 8's 1.5e-4 per 256
max_epochs = 45

model = dict(
    vit=dict(arch=dict(_delete_=True, embed_dim=128, depth=6, num_heads=4), img_size=64, patch_size=8),
    decoder=dict(embed_dim=96, depth=2, num_heads=3),
)

photos = dict(data_root=data_root)
train_dataloader = dict(batch_size=64, num_workers=1, dataset=photos)
val_dataloader = dict(batch_size=50, num_workers=0, persistent_workers=False, dataset=photos)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
param_scheduler = [dict(type='WarmupCosineLR', warmup=2, end=max_epochs, by_epoch=True, convert_to_iter_based=True)]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=5))
custom_hooks = [
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
    dict(type='ReconstructionHook', interval=15),
    dict(type='FitTargetHook'),  # for targets that follow from the photos; nothing for pixels
]
