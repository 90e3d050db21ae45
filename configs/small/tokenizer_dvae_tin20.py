"""A tokenizer at a size that a CPU can do: 512 tokens, stride 8, 64 pixels, on the 10 000 training images of 20 classes
of Tiny ImageNet. For configs/small/mae_pretrain_tin20.py, whose patches of 8 have one token each.

The recipe is configs/tokenizer_dvae.py; what differs, besides the sizes: a batch of 32, 3 epochs, a higher learning
rate, float32.
Cost and figures: docs/results.md.
Command: tools/train.py configs/small/tokenizer_dvae_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
Then: model.target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', vocab_size=512, width=32, code_dim=64,
num_blocks=1, checkpoint='work_dirs/small/tokenizer_dvae_tin20')) in a pre-training
"""

_base_ = ['../tokenizer_dvae.py']

data_root = 'data/tinyimagenet20/'
total_batch_size = 32
base_lr = 3.2e-2  # 4e-3 at 32
max_epochs = 3

model = dict(vocab_size=512, width=32, code_dim=64, num_blocks=1)

photos = dict(data_root=data_root, img_size=64)
train_dataloader = dict(batch_size=32, num_workers=1, dataset=photos)
val_dataloader = dict(batch_size=50, num_workers=0, persistent_workers=False, dataset=photos)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
param_scheduler = [dict(type='WarmupCosineLR', warmup=0.1, end=max_epochs, by_epoch=True, convert_to_iter_based=True)]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=1))
