"""Fine-tuning on 20 classes of Tiny ImageNet, three epochs, of the ViT of configs/small/mae_pretrain_tin20.py.

The recipe is configs/_base_/in1k_finetune.py at a size that a CPU can do; what differs: 64 px, batches of 64, a higher
learning rate, and, because three epochs are short, neither RandAugment nor mixing nor erasing, and crops of at least
.35 of the image. `model.tuned_blocks` = 0, .5, 1, 2 tunes a part; pretrained=none starts from random weights.
Figures: docs/results.md.
Command: tools/train.py configs/small/finetune_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/in1k_finetune.py']

data_root = 'data/tinyimagenet20/'
pretrained = 'work_dirs/small/mae_pretrain_tin20'
total_batch_size = 64
base_lr = 4e-3  # 1e-3 at 64

model = dict(
    num_classes=20,
    tuned_blocks=None,
    data_preprocessor=dict(_delete_=True, type='LabelledPreprocessor'),
    vit=dict(
        arch=dict(_delete_=True, embed_dim=128, depth=6, num_heads=4),
        img_size=64,
        patch_size=8,
        drop_path_rate=0.0,
        init_cfg=dict(checkpoint=pretrained),
    ),
)

photos = dict(data_root=data_root)
train_dataloader = dict(
    batch_size=64, num_workers=1, dataset=dict(transform=dict(auto_augment=None, scale=(0.35, 1.0)), **photos)
)
val_dataloader = dict(batch_size=50, num_workers=0, persistent_workers=False, dataset=photos)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.75))
train_cfg = dict(max_epochs=3, val_interval=3)
param_scheduler = [
    dict(type='WarmupCosineLR', warmup=0.3, end=3, min_lr=1e-6, by_epoch=True, convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(interval=3))
