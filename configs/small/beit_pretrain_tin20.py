"""BEiT pre-training of a ViT of 1.2 million parameters with patches of 8 on the 10 000 training images of 20 classes of
Tiny ImageNet.

It needs the tokenizer of configs/small/tokenizer_dvae_tin20.py. The recipe is configs/_base_/beit_pretrain.py at a size
for a CPU. Differences: 64 pixels, crops of at least .2 of the photo, a ViT of 128 x 6 with patches of 8, whose tokens
our dVAE gives at 64 pixels, blocks of at least 5 patches, a batch of 64, 10 epochs, a higher learning rate, float32.
Cost: 1.2 seconds of one core for each of the 1560 steps (measured).
Train: tools/train.py configs/small/beit_pretrain_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
Test (loss of the masked tokens): tools/test.py configs/small/beit_pretrain_tin20.py work_dirs/small/beit_pretrain_tin20
    --cfg-options data_root=../shared/data/tinyimagenet20
To use it, add to a config for these images:
    pretrained=work_dirs/small/beit_pretrain_tin20 init=beit_in1k
"""

_base_ = ['../_base_/beit_pretrain.py']

data_root = 'data/tinyimagenet20'
tokenizer = 'work_dirs/small/tokenizer_dvae_tin20'
image_size = 64
max_epochs = 10
warmup = 1
total_batch_size = 64
base_lr = 3e-3  # 7.5e-4 at 64, as the MAE of this size

arch = '128x6x4'
model = dict(
    vit=dict(patch_size=8),
    masking=dict(least_area=5),  # 16 of 14 x 14 patches are 5 of 8 x 8
    target=dict(
        tokenizer=dict(
            _delete_=True, type='DVAE', vocab_size=512, width=32, code_dim=64, num_blocks=1, checkpoint='${tokenizer}'
        )
    ),
)

train_dataloader = dict(batch_size=64, num_workers=1, dataset=dict(token_scale=1.0, scale=(0.2, 1.0)))
val_dataloader = dict(batch_size=50, num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(val_interval='${max(1, train_cfg.max_epochs // 5)}')
default_hooks = dict(
    logger=dict(interval=50),
    checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 5)}'),
    reconstructions=dict(interval='${max(1, train_cfg.max_epochs // 5)}'),
)
