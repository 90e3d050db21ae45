"""Fine-tuning on 20 classes of Tiny ImageNet, three epochs, of the ViT of configs/small/mae_pretrain_tin20.py.

The recipe is configs/_base_/in1k_finetune.py at a size for a CPU. Differences: 64 pixels, batches of 64, a higher
learning rate, and, because three epochs are short, no RandAugment, mixup, cutmix or erasing, and crops of at least .35
of the image. model.tuned_blocks=0, .5, 1 or 2 trains only a part; pretrained=none starts from random weights.
Results: docs/results.md.
Train: tools/train.py configs/small/finetune_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
Test: tools/test.py configs/small/finetune_tin20.py work_dirs/small/finetune_tin20
    --cfg-options data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/in1k_finetune.py']

data_root = 'data/tinyimagenet20'
pretrained = 'work_dirs/small/mae_pretrain_tin20'
image_size = 64
max_epochs = 3
warmup = 0.3
total_batch_size = 64
base_lr = 4e-3  # 1e-3 at 64

arch = '128x6x4'
model = dict(
    num_classes=20,
    tuned_blocks=None,
    data_preprocessor=dict(erasing=None, mixup=None),
    vit=dict(patch_size=8, drop_path_rate=0.0),
)

train_dataloader = dict(
    batch_size=64, num_workers=1, dataset=dict(transform=dict(auto_augment=None, scale=(0.35, 1.0)))
)
val_dataloader = dict(batch_size=50, num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.75))
train_cfg = dict(val_interval='${train_cfg.max_epochs}')
