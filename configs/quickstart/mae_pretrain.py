"""MAE pre-training of a 2.3-million-parameter ViT on the quickstart's made-up scenes, patches of 8, a few minutes.

The recipe is configs/_base_/mae_pretrain.py at a size that a CPU can do; what differs: crops of 64 px at about the
scenes' own scale, a decoder of one block (MAE Table 1a: fine-tuning loses .1), a batch of 64, float32 (faster than
bfloat16 on most CPUs at this size).
Command: tools/train.py configs/quickstart/mae_pretrain.py (after python -m mae_transfer.data.scenes
work_dirs/quickstart/scenes)
"""

_base_ = ['../_base_/mae_pretrain.py']

data_root = 'work_dirs/quickstart/scenes/photos'
total_batch_size = 64
base_lr = 3e-3  # 7.5e-4 at 64; small models and short schedules bear more than Table 8's 1.5e-4 per 256

model = dict(
    vit=dict(arch=dict(_delete_=True, embed_dim=192, depth=5, num_heads=3), img_size=64, patch_size=8),
    decoder=dict(embed_dim=128, depth=1, num_heads=4),
)

photos = dict(data_root=data_root)
train_dataloader = dict(batch_size=64, num_workers=1, dataset=dict(scale=(0.3, 0.6), **photos))
val_dataloader = dict(batch_size=64, num_workers=0, persistent_workers=False, dataset=photos)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(max_epochs=4, val_interval=2)
param_scheduler = [dict(type='WarmupCosineLR', warmup=0.5, end=4, by_epoch=True, convert_to_iter_based=True)]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=2))
custom_hooks = [
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
    dict(type='ReconstructionHook', interval=2),
]
