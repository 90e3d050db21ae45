"""What every MAE pre-training shares: the recipe of MAE Table 8, on any folder of photos.

`data_root` is a folder tree of images, a list file, or ImageNet (`train/` and `val/` inside). `total_batch_size` is what one
optimiser step sees, wherever it runs: tools/train.py works out the accumulation from the batch of one GPU and the number of
GPUs, and the learning rate from `base_lr` (per 256 images).
"""
default_scope = 'mae_transfer'
custom_imports = dict(imports=['mae_transfer'], allow_failed_imports=False)

data_root = 'data/imagenet/'
total_batch_size = 4096
base_lr = 1.5e-4  # 2.4e-3 at a batch of 4096

model = dict(
    type='MAE',
    data_preprocessor=dict(type='PhotoPreprocessor'),
    vit=dict(type='ViT', arch='base', img_size=224),
    masking=dict(type='RandomMasking', ratio=.75),
    decoder=dict(type='MAEDecoder', embed_dim=512, depth=8, num_heads=16),
    target=dict(type='NormalizedPixelTarget'))

train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(type='Photos', data_root=data_root, split='train', img_size=224, scale=(.2, 1.)))
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(type='Photos', data_root=data_root, split='val', img_size=224))
test_dataloader = val_dataloader
val_evaluator = dict(type='ReconstructionLoss')
test_evaluator = val_evaluator

# Biases and norms are not decayed; the class and the mask token are, as in the official pre-training.
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1., no_decay=()),
    optimizer=dict(type='AdamW', betas=(.9, .95), weight_decay=.05))

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1600, val_interval=100)
val_cfg = dict()
test_cfg = dict()
param_scheduler = [
    dict(type='WarmupCosineLR', warmup=40, end=1600, by_epoch=True, convert_to_iter_based=True),
]

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=20, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
    dict(type='ReconstructionHook', interval=100),
]

# MMEngine's default pattern smooths whatever has 'loss' in its name, and would average the validations of the whole run.
log_processor = dict(type='LogProcessor', by_epoch=True, mean_pattern=r'^(loss|time|data_time|grad_norm)')
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
log_level = 'INFO'
randomness = dict(seed=0)
