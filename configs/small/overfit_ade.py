"""UperNet with a small ViT overfits four images, which shows that every part of it learns.

The model of configs/small/ade20k_upernet.py starts from random weights and is trained, without augmentation, and
evaluated on the same four images: those of `indices`, in the order of their names. The default is for
../shared/data/ade_mini: the four training images with the fewest classes, the first among equals (ADE_train_00004996,
00007860, 00009317 and 00010793, with 6, 5, 11 and 7 classes, 23 in all).
Measured: mIoU 85.5 on these images (docs/results.md). Cost: 2.8 minutes of one CPU core.
Train: tools/train.py configs/small/overfit_ade.py --cfg-options data_root=../shared/data/ade_mini
Test: tools/test.py configs/small/overfit_ade.py work_dirs/small/overfit_ade
    --cfg-options data_root=../shared/data/ade_mini
"""

_base_ = ['./ade20k_upernet.py']

data_root = 'data/ade_mini'
pretrained = 'none'
crop_size = (160, 160)
indices = [0, 2, 3, 4]
max_iters = 400
warmup = 20
base_lr = 3.84e-1  # 3e-3 at a batch of 2

model = dict(
    backbone=dict(drop_path_rate=0.0),
    decode_head=dict(dropout_ratio=0.0),
    auxiliary_head=None,  # it takes half of the time, and is not evaluated
    test_cfg=dict(_delete_=True, mode='whole'),
)

four_images = dict(
    data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'), indices='${indices}'
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='mae_transfer.LoadLabels'),
            dict(type='Resize', scale='${pair(crop_size)[::-1]}', keep_ratio=False),
            dict(type='PackSegInputs'),
        ],
        **four_images,
    )
)
# Predictions are resized to the original size and evaluated there.
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='Resize', scale='${pair(crop_size)[::-1]}', keep_ratio=False),
            dict(type='mae_transfer.LoadLabels'),
            dict(type='PackSegInputs'),
        ],
        **four_images,
    )
)
test_dataloader = val_dataloader
del four_images

optim_wrapper = dict(optimizer=dict(weight_decay=0.0), paramwise_cfg=dict(layer_decay=0.7))
param_scheduler = [dict(type='mae_transfer.WarmupCosineLR', warmup='${warmup}', by_epoch=False)]
default_hooks = dict(logger=dict(interval=20))
