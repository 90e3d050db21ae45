"""The paper's linear probe on 20 classes of Tiny ImageNet, ten epochs of LARS at a batch of 512.

The recipe is configs/_base_/in1k_linprobe.py at a size that a CPU can do; what differs: 64 px, batch, epochs, learning
rate. Command: tools/train.py configs/small/linprobe_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/in1k_linprobe.py']

data_root = 'data/tinyimagenet20/'
pretrained = 'work_dirs/small/mae_pretrain_tin20'
total_batch_size = 512
base_lr = 20.0  # 40 at 512: a linear layer has 190 steps to grow in, where the recipe has 7000

model = dict(
    num_classes=20,
    vit=dict(
        arch=dict(_delete_=True, embed_dim=128, depth=6, num_heads=4),
        img_size=64,
        patch_size=8,
        init_cfg=dict(checkpoint=pretrained),
    ),
)

photos = dict(data_root=data_root)
train_dataloader = dict(batch_size=512, num_workers=1, dataset=photos)
val_dataloader = dict(batch_size=50, num_workers=0, persistent_workers=False, dataset=photos)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(max_epochs=10, val_interval=5)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1, end=10, by_epoch=True, convert_to_iter_based=True)]
default_hooks = dict(logger=dict(interval=5))
