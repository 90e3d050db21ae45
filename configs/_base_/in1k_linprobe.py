"""Linear probing on ImageNet-1k: MAE Table 10, as in the official main_linprobe.py.

The ViT is frozen, including its final norm. A BatchNorm without affine parameters and a linear classifier are trained
on the class token by LARS, without weight decay, and without LARS's adaptive rate for the classifier's bias. Random
crops are those of BYOL, without retries.
"""

_base_ = './classification.py'

max_epochs = 90
warmup = 10  # epochs
patience = None
repeat = 1
total_batch_size = 16384
base_lr = 0.1  # 6.4 at a batch of 16384

model = dict(pooling='class_token', tuned_blocks=0, batch_norm=True, head_std=0.01)
train_dataloader = dict(batch_size=512, repeat='${repeat}', dataset=dict(transform=dict(type='ProbeCrop')))

# By default timm's LARS does not adapt the rate of parameters without weight decay; always_adapt changes that.
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0, optimizer_1d=dict(always_adapt=False)),
    optimizer=dict(type='Lars', momentum=0.9, weight_decay=0.0, trust_coeff=0.001, always_adapt=True),
)
param_scheduler = [dict(type='WarmupCosineLR', warmup='${warmup}', by_epoch=True, convert_to_iter_based=True)]
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs='${max_epochs}', val_interval='${max(1, train_cfg.max_epochs // 18)}'
)
default_hooks = dict(
    checkpoint=dict(
        interval='${max(1, train_cfg.max_epochs // 18)}',
        save_best="${'accuracy/top1' if patience is not None else None}",
    ),
    patience='${patience_hook(patience, default_hooks.checkpoint.save_best)}',
    sync_buffers=dict(type='SyncBuffersHook'),  # so that all processes evaluate with the same running statistics
)
