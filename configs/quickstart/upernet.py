"""UperNet with the quickstart's ViT on its made-up scenes: ten classes, 96 labelled scenes of 96 px.

The recipe is configs/_base_/ade20k_upernet.py at a size that a CPU does in two minutes; what differs: 48 channels in
the head, 160 steps of 4 scenes, a higher learning rate, flips as the only augmentation, whole images at test.
Command: tools/train.py configs/quickstart/upernet.py, then tools/test.py configs/quickstart/upernet.py
work_dirs/quickstart/upernet
"""

_base_ = ['../_base_/ade20k_upernet.py']

data_root = 'work_dirs/quickstart/scenes/ade'
pretrained = 'configs/quickstart/vit_scenes.safetensors'
total_batch_size = 4
base_lr = 6.4e-2  # 1e-3 at a batch of 4
max_iters = 160

norm_cfg = dict(type='BN')
head = dict(channels=48, num_classes=10, norm_cfg=norm_cfg)
model = dict(
    data_preprocessor=dict(size=(96, 96)),
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=192, depth=5, num_heads=3),
        img_size=64,
        patch_size=8,
        out_indices=(1, 2, 3, 4),
        rel_pos=None,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained),
    ),
    neck=dict(embed_dim=192, scale_norm_cfg=norm_cfg),
    decode_head=dict(in_channels=[192] * 4, **head),
    auxiliary_head=dict(in_channels=192, **head),
    test_cfg=dict(_delete_=True, mode='whole'),
)

metainfo = dict(
    classes=(
        'sky',
        'grass',
        'brick',
        'water',
        'striped disc',
        'dotted disc',
        'striped box',
        'checked box',
        'dotted star',
        'striped ring',
    )
)
scenes = dict(type='BaseSegDataset', data_root=data_root, metainfo=metainfo, img_suffix='.jpg', seg_map_suffix='.png')
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
        **scenes,
    ),
)
val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')], **scenes
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.8))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=15, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=15, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=max_iters))
