"""MoCo v3 pre-training of the ViT of configs/small/mae_pretrain_tin20.py on the 10 000 training images of 20 classes of
Tiny ImageNet.

The recipe is configs/_base_/mocov3_pretrain.py at a size for a CPU. Differences: 64 pixels, views of at least .2 of the
photo, less blur, a ViT of 128 x 6 with patches of 8, hidden layers of 512, queries of 128, a batch of 128, 10 epochs, a
higher learning rate, float32. The other configs for these images evaluate the ViT, with
pretrained=work_dirs/small/mocov3_pretrain_tin20.
Train: tools/train.py configs/small/mocov3_pretrain_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
Test (views told apart): tools/test.py configs/small/mocov3_pretrain_tin20.py work_dirs/small/mocov3_pretrain_tin20
    --cfg-options data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/mocov3_pretrain.py']

data_root = 'data/tinyimagenet20'
image_size = 64
max_epochs = 10
warmup = 1
total_batch_size = 128
base_lr = 1.5e-3  # 7.5e-4 at 128, as the MAE of this size

arch = '128x6x4'
model = dict(vit=dict(patch_size=8), hidden_dim=512, out_dim=128)

# A blur of up to 2 pixels of 224 is one of .6 of 64.
train_dataloader = dict(batch_size=128, num_workers=1, dataset=dict(scale=(0.2, 1.0), blur=(0.1, 0.6)))
val_dataloader = dict(batch_size=50, num_workers=0, dataset=dict(blur='${train_dataloader.dataset.blur}'))
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(val_interval='${max(1, train_cfg.max_epochs // 5)}')
default_hooks = dict(logger=dict(interval=26), checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 5)}'))
