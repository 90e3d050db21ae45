"""UperNet with the quickstart's ViT on its generated scenes: ten classes, 96 labelled scenes of 96 pixels.

The recipe is configs/_base_/ade20k_upernet.py at a size that takes a CPU two minutes. Differences: patches of 8, no
relative positions, 48 channels in the heads, BatchNorm instead of SyncBN, 160 iterations of 4 scenes, a higher learning
rate, flips as the only augmentation, whole images in tests, float32.
Train: tools/train.py configs/quickstart/upernet.py
Test: tools/test.py configs/quickstart/upernet.py work_dirs/quickstart/upernet
"""

_base_ = ['../_base_/ade20k_upernet.py']

data_root = 'work_dirs/quickstart/scenes/ade'
classes = (
    *('sky', 'grass', 'brick', 'water'),
    *('striped disc', 'dotted disc', 'striped box', 'checked box', 'dotted star', 'striped ring'),
)
pretrained = 'configs/quickstart/vit_scenes.safetensors'
crop_size = (96, 96)
max_iters = 160
warmup = 15
total_batch_size = 4
base_lr = 6.4e-2  # 1e-3 at a batch of 4

norm_cfg = dict(_delete_=True, type='BN')
arch = '192x5x3'
model = dict(
    backbone=dict(img_size=64, patch_size=8, out_indices=(1, 2, 3, 4), rel_pos='${start(init).rel_pos}'),
    decode_head=dict(channels=48),
    auxiliary_head=dict(channels=48),
    test_cfg=dict(_delete_=True, mode='whole'),
)

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    dataset=dict(
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='mae_transfer.LoadLabels'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ]
    ),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='mae_transfer.LoadLabels'),
            dict(type='PackSegInputs'),
        ]
    ),
)
test_dataloader = val_dataloader

optim_wrapper = dict(dtype='float32', paramwise_cfg=dict(layer_decay=0.8))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end='${warmup}', by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin='${warmup}', by_epoch=False),
]
train_cfg = dict(val_interval='${train_cfg.max_iters}')
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval='${train_cfg.max_iters}'))
