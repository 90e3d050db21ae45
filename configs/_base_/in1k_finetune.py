"""End-to-end fine-tuning on ImageNet-1k: the official PyTorch recipe (FINETUNE.md, main_finetune.py), with the values
for ViT-B.

The paper's Table 9 differs: learning rate 1e-3, layer decay .75, drop path .1 for both B and L (.2 for H), no random
erasing.
"""

_base_ = './classification.py'

max_epochs = 100
warmup = "${recipe(init, arch, 'in1k_finetune.warmup', 5)}"  # epochs
patience = None
repeat = 1
total_batch_size = 1024
base_lr = "${recipe(init, arch, 'in1k_finetune.base_lr', 5e-4)}"  # 2e-3 at a batch of 1024

model = dict(
    pooling='patch_mean',
    label_smoothing=0.1,
    data_preprocessor=dict(
        erasing=dict(probability=0.25, mode='pixel'),
        mixup=dict(mixup_alpha=0.8, cutmix_alpha=1.0, prob=1.0, switch_prob=0.5),
    ),
    vit=dict(drop_path_rate=0.1),
)
train_dataloader = dict(
    repeat='${repeat}', dataset=dict(transform=dict(type='FineTuneCrop', auto_augment='${rand_augment(bands)}'))
)

optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay="${recipe(init, arch, 'in1k_finetune.layer_decay', 0.65)}"),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.05, fused=True),
)
param_scheduler = [
    dict(type='WarmupCosineLR', warmup='${warmup}', min_lr=1e-6, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs='${max_epochs}', val_interval='${max(1, train_cfg.max_epochs // 20)}'
)
default_hooks = dict(
    checkpoint=dict(
        interval='${max(1, train_cfg.max_epochs // 20)}',
        save_best="${'accuracy/top1' if patience is not None else None}",
    ),
    patience='${patience_hook(patience, default_hooks.checkpoint.save_best)}',
)
