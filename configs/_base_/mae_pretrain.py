"""What every MAE pre-training shares: the recipe of MAE Table 8, on any folder of photos.

`data_root` is a folder tree of images, a list file, or ImageNet (`train/` and `val/` inside). `total_batch_size` is
what one optimiser step sees, wherever it runs: tools/train.py works out the accumulation from the batch of one GPU and
the number of GPUs, and the learning rate from `base_lr` (per 256 images). `model.vit.img_size` is the size of all
crops.
"""

_base_ = './runtime.py'

data_root = 'data/imagenet/'
total_batch_size = 4096
base_lr = 1.5e-4  # 2.4e-3 at a batch of 4096

model = dict(
    type='MAE',
    data_preprocessor=dict(type='PhotoPreprocessor'),
    vit=dict(type='ViT', arch='base', img_size=224),
    masking=dict(type='RandomMasking', ratio=0.75),
    decoder=dict(type='MAEDecoder', embed_dim=512, depth=8, num_heads=16),
    target=dict(type='NormalizedPixelTarget'),
)

train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(type='Photos', data_root=data_root, split='train', scale=(0.2, 1.0)),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(type='Photos', data_root=data_root, split='val'),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ReconstructionLoss')
test_evaluator = val_evaluator

# Biases and norms are not decayed; the class and the mask token are, as in the official pre-training.
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0, no_decay=()),
    optimizer=dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.05),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1600, val_interval=100)
param_scheduler = [dict(type='WarmupCosineLR', warmup=40, end=1600, by_epoch=True, convert_to_iter_based=True)]

custom_hooks = [
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
    dict(type='ReconstructionHook', interval=100),
    dict(type='FitTargetHook'),  # for targets that follow from the photos; nothing for pixels
]
