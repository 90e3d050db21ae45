"""UperNet with a small ViT learns four images by heart: does every part of it learn?

The model of configs/small/ade20k_upernet.py from random weights, without augmentation, trained and judged on the same
four images of ADE20K's layout: those of `indices`, counted in the order of their names. The default is for
../shared/data/ade_mini: the four training images with the fewest classes, of equals the first (ADE_train_00004996,
7860, 9317 and 10793; 6, 5, 11 and 7 classes, 23 in all).
Measured: mIoU 85.5 on these images (docs/results.md). Cost: 2.8 minutes of one CPU core.
Command: tools/train.py configs/small/overfit_ade.py --cfg-options data_root=../shared/data/ade_mini, then
tools/test.py configs/small/overfit_ade.py work_dirs/small/overfit_ade --cfg-options data_root=../shared/data/ade_mini
"""

_base_ = ['./ade20k_upernet.py']

data_root = 'data/ade_mini/'
pretrained = 'none'
crop_size = (160, 160)
indices = [0, 2, 3, 4]
base_lr = 3.84e-1  # 3e-3 at a batch of 2
max_iters = 400

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(drop_path_rate=0.0, init_cfg=dict(type='Pretrained', checkpoint=pretrained)),
    decode_head=dict(dropout_ratio=0.0),
    auxiliary_head=None,  # half of the time, and not judged
    test_cfg=dict(_delete_=True, mode='whole'),
)

four_images = dict(
    data_root=data_root,
    data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
    indices=indices,
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='Resize', scale=crop_size, keep_ratio=False),
            dict(type='PackSegInputs'),
        ],
        **four_images,
    )
)
# Predictions go back to the image's own size, where they are judged.
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=crop_size, keep_ratio=False),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
        **four_images,
    )
)
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(weight_decay=0.0), paramwise_cfg=dict(layer_decay=0.7))
param_scheduler = [dict(type='mae_transfer.WarmupCosineLR', warmup=20, end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_iters))
