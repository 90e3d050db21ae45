"""What every reading of a ViT by classification shares: ImageNet-1k's data and judgement, the model, the runtime.

`data_root` is a folder with `train/` and `val/`, a folder for each class in them. For other data see `LabelledPhotos`
and configs/transfer/. `pretrained` is the work_dir of a pre-training, or a file of official MAE, timm, mmpretrain or
Hugging Face weights. `model.vit.img_size` decides the size of all images; positions are resized for it.
"""

_base_ = './runtime.py'

data_root = 'data/imagenet/'
pretrained = 'work_dirs/mae_pretrain_vitb'

model = dict(
    type='ViTClassifier',
    num_classes=1000,
    data_preprocessor=dict(type='LabelledPreprocessor'),
    vit=dict(
        type='ViT',
        arch='base',
        img_size=224,
        learn_positions=True,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
)

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='mae_transfer.collate_labelled'),
    dataset=dict(type='LabelledPhotos', data_root=data_root, split='train'),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mae_transfer.collate_labelled'),
    dataset=dict(type='LabelledPhotos', data_root=data_root, split='val'),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator

default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=5))
custom_hooks = [
    dict(type='GlobalLossHook'),
    dict(type='NonFiniteLossHook', interval=50),
    dict(type='SkippedPhotosHook'),
    dict(type='ConfusionHook'),
]

randomness = dict(diff_rank_seed=True)  # each process mixes and erases its own way
