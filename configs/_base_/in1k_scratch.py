"""Supervised training from random weights on ImageNet-1k: MAE Table 11, with the values for ViT-B.

Table 11 does not say how the tokens are pooled and how the classifier and the positions are initialised. They are as in
fine-tuning: mean of the patches, a classifier with std 2e-5; positions start as sin-cos and are trained. The moving
average of the weights is evaluated.
"""

_base_ = './classification.py'

pretrained = 'none'
max_epochs = 300
warmup = 20  # epochs
patience = None
repeat = 1
total_batch_size = 4096
base_lr = 1e-4  # 1.6e-3 at a batch of 4096

model = dict(
    pooling='patch_mean',
    label_smoothing=0.1,
    data_preprocessor=dict(mixup=dict(mixup_alpha=0.8, cutmix_alpha=1.0, prob=1.0, switch_prob=0.5)),
    vit=dict(drop_path_rate=0.1),
)
train_dataloader = dict(
    batch_size=256,
    repeat='${repeat}',
    dataset=dict(transform=dict(type='FineTuneCrop', auto_augment='${rand_augment(bands)}')),
)

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
    optimizer=dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.3, fused=True),
)
param_scheduler = [dict(type='WarmupCosineLR', warmup='${warmup}', by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs='${max_epochs}', val_interval='${max(1, train_cfg.max_epochs // 30)}'
)
default_hooks = dict(
    checkpoint=dict(
        interval='${max(1, train_cfg.max_epochs // 60)}',
        save_best="${'accuracy/top1' if patience is not None else None}",
    ),
    patience='${patience_hook(patience, default_hooks.checkpoint.save_best)}',
    ema=dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=1e-4),  # a decay of .9999 per step
)
