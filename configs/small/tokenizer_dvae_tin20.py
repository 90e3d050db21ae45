"""A tokenizer of a size for a CPU: 512 tokens, stride 8, 64 pixels, on the 10 000 training images of 20 classes of Tiny
ImageNet.

It gives each patch of configs/small/mae_pretrain_tin20.py, which has patches of 8, one token. The recipe is
configs/tokenizer_dvae.py. Differences, apart from the sizes: a batch of 32, 3 epochs, a higher learning rate, float32.
Cost and results: docs/results.md.
Train: tools/train.py configs/small/tokenizer_dvae_tin20.py --cfg-options data_root=../shared/data/tinyimagenet20
Test (reconstruction error, use of the vocabulary): tools/test.py configs/small/tokenizer_dvae_tin20.py
    work_dirs/small/tokenizer_dvae_tin20 --cfg-options data_root=../shared/data/tinyimagenet20
To use it, write in the config of a pre-training:
    model = dict(target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', vocab_size=512, width=32, code_dim=64,
    num_blocks=1, checkpoint='work_dirs/small/tokenizer_dvae_tin20')))
"""

_base_ = ['../tokenizer_dvae.py']

data_root = 'data/tinyimagenet20'
image_size = 64
max_epochs = 3
warmup = 0.1
total_batch_size = 32
base_lr = 3.2e-2  # 4e-3 at 32

model = dict(vocab_size=512, width=32, code_dim=64, num_blocks=1)

train_dataloader = dict(batch_size=32, num_workers=1)
val_dataloader = dict(batch_size=50, num_workers=0)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32')
default_hooks = dict(logger=dict(interval=50))
