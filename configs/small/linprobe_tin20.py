"""The paper's linear probe on 20 classes of Tiny ImageNet, ten epochs of LARS at a batch of 512.

The recipe is configs/_base_/in1k_linprobe.py at a size for a CPU. Differences: 64 pixels, batch, epochs, learning rate,
float32.
Train: tools/train.py configs/small/linprobe_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
Test: tools/test.py configs/small/linprobe_tin20.py work_dirs/small/linprobe_tin20
    --cfg-options data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/in1k_linprobe.py']

data_root = 'data/tinyimagenet20'
pretrained = 'work_dirs/small/mae_pretrain_tin20'
image_size = 64
max_epochs = 10
warmup = 1
total_batch_size = 512
base_lr = 20.0  # 40 at 512: the linear layer has only 190 steps to grow; the recipe has 7000

arch = '128x6x4'
model = dict(num_classes=20, vit=dict(patch_size=8))

train_dataloader = dict(batch_size=512, num_workers=1)
val_dataloader = dict(batch_size=50, num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(val_interval='${max(1, train_cfg.max_epochs // 2)}')
default_hooks = dict(logger=dict(interval=5))
