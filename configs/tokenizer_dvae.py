"""A tokenizer for TokenTarget: a discrete VAE on ImageNet-1k at 112 pixels, stride 8, 8192 tokens.

Recipe: DALL-E (Ramesh et al. 2021), section 2.1 and App. A.2, for the method, the vocabulary, the stride, the
temperature from 1 to 1/16, the batch of 512, AdamW with a weight decay of 1e-4 and its starting rate of 1e-4 (here:
5e-5 per 256). Ours: the architecture (DVAE says what differs), the weight of the KL term, 112 pixels, at which a ViT
with patches of 16 has its photos of 224 tokenised (224 needs only train_dataloader.dataset.img_size and its like),
MAE's crops, 100 epochs with half a cosine down to zero, where DALL-E makes 3 million updates on its own images, with a
rate that falls to 1.25e-6 in 1.2 million, and averages its weights (.999). Known to reach: not known; a run of this
size was not made. configs/small/tokenizer_dvae_tin20.py was. Cost: not known, likewise.
Command: tools/dist_train.sh configs/tokenizer_dvae.py 8
Then: model.target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', checkpoint='work_dirs/tokenizer_dvae')) in a
pre-training
"""

_base_ = ['_base_/runtime.py']

data_root = 'data/imagenet/'
total_batch_size = 512
base_lr = 5e-5  # 1e-4 at a batch of 512
max_epochs = 100

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

photos = dict(type='Photos', data_root=data_root, img_size=112)
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(photos, split='train', scale=(0.2, 1.0)),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(photos, split='val'),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='TokenizerQuality')
test_evaluator = val_evaluator

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=1e-4),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=5)
param_scheduler = [dict(type='WarmupCosineLR', warmup=1, end=max_epochs, by_epoch=True, convert_to_iter_based=True)]

custom_hooks = [
    dict(type='AnnealingHook'),
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
]
