"""Supervised training from random weights on ImageNet-1k: the paper's Table 11, here with ViT-B's values.

Table 11 does not say how the tokens are pooled, how the classifier starts and where positions start: here as in
fine-tuning (mean of the patches; std 2e-5), from sin-cos positions, which are trained. Judged is the moving average of
the weights.
"""

_base_ = './classification.py'

total_batch_size = 4096
base_lr = 1e-4  # 1.6e-3 at a batch of 4096
pretrained = 'none'

model = dict(
    pooling='patch_mean',
    label_smoothing=0.1,
    data_preprocessor=dict(mixup=dict(mixup_alpha=0.8, cutmix_alpha=1.0, prob=1.0, switch_prob=0.5)),
    vit=dict(drop_path_rate=0.1, init_cfg=dict(checkpoint=pretrained)),
)
train_dataloader = dict(
    batch_size=256, dataset=dict(transform=dict(type='FineTuneCrop', auto_augment='rand-m9-mstd0.5-inc1'))
)

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
    optimizer=dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.3),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300, val_interval=10)
param_scheduler = [dict(type='WarmupCosineLR', warmup=20, end=300, by_epoch=True, convert_to_iter_based=True)]
custom_hooks = [
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
    dict(type='ConfusionHook'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=1e-4),  # decay .9999 a step
]
