"""A tokenizer for TokenTarget: a discrete VAE on ImageNet-1k at 112 pixels, with stride 8 and 8192 tokens.

Recipe, from DALL-E (Ramesh et al. 2021, section 2.1 and App. A.2): the method, the vocabulary, the stride, the
temperature from 1 to 1/16, the batch of 512, AdamW with a weight decay of 1e-4, and its initial learning rate of 1e-4
(here 5e-5 per 256 images). Ours: the architecture (see DVAE); the weight of the KL term; MAE's crops; 112 pixels, the
size at which the photos of 224 of a ViT with patches of 16 are tokenised (for other photos set image_size); 100 epochs
with half a cosine to zero. DALL-E makes 3 million updates on its own images, lowers the rate to 1.25e-6 in 1.2 million
updates, and averages its weights (.999).
Reported: nothing. This size has not been run; configs/small/tokenizer_dvae_tin20.py has.
Cost: not measured.
Train: tools/dist_train.sh configs/tokenizer_dvae.py 8
Test (reconstruction error, use of the vocabulary): tools/test.py configs/tokenizer_dvae.py work_dirs/tokenizer_dvae
To use it, write in the config of a pre-training:
    model = dict(target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', checkpoint='work_dirs/tokenizer_dvae')))
"""

_base_ = ['_base_/runtime.py']

data_root = 'data/imagenet'
image_size = 112
max_epochs = 100
warmup = 1  # epochs
repeat = 1  # passes over the photos in one epoch
total_batch_size = 512
base_lr = 5e-5  # 1e-4 at a batch of 512

model = dict(
    type='DVAE',
    vocab_size=8192,
    width=256,
    code_dim=256,
    num_blocks=2,
    stride=8,
    kl_weight=2e-3,
    data_preprocessor=dict(type='PhotoPreprocessor', mean=(0, 0, 0), std=(255, 255, 255)),
)

train_dataloader = dict(
    batch_size=64,
    repeat='${repeat}',
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(type='Photos', data_root='${data_root}', split='train', img_size='${image_size}', scale=(0.2, 1.0)),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(type='Photos', data_root='${data_root}', split='val', img_size='${image_size}'),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TokenizerQuality')
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=1e-4, fused=True),
)
param_scheduler = [dict(type='WarmupCosineLR', warmup='${warmup}', by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs='${max_epochs}', val_interval='${max(1, train_cfg.max_epochs // 20)}'
)

default_hooks = dict(
    checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 20)}'), annealing=dict(type='AnnealingHook')
)
