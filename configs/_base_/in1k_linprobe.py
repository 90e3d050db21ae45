"""Linear probing on ImageNet-1k: the paper's Table 10, as in the official main_linprobe.py.

The ViT is frozen, its final norm too; BatchNorm without affine and a linear classifier are trained on the class token
by LARS, which neither decays nor adapts the classifier's bias. Crops are BYOL's, without retries.
"""

_base_ = './classification.py'

total_batch_size = 16384
base_lr = 0.1  # 6.4 at a batch of 16384

model = dict(pooling='class_token', tuned_blocks=0, batch_norm=True, head_std=0.01)
train_dataloader = dict(batch_size=512, dataset=dict(transform=dict(type='ProbeCrop')))

# timm's LARS adapts the rate of nothing undecayed unless it is told to.
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0, vectors=dict(always_adapt=False)),
    optimizer=dict(type='Lars', momentum=0.9, weight_decay=0.0, trust_coeff=0.001, always_adapt=True),
)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=90, val_interval=5)
param_scheduler = [dict(type='WarmupCosineLR', warmup=10, end=90, by_epoch=True, convert_to_iter_based=True)]
custom_hooks = [
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
    dict(type='ConfusionHook'),
    dict(type='SyncBuffersHook'),  # the running statistics that all processes judge by
]
