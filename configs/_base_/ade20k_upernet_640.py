"""ade20k_upernet.py at crops of 640: BEiT's variant, which its best numbers come from.

From BEiT (semantic_segmentation/, ..._640_slide_160k_...): images resized to (2560, 640), windows of 640 every 426
pixels. For ViT-B it changes nothing else. For ViT-L it gives each of 8 GPUs one image, accumulates two steps, and
counts those halves: its "320k" iterations are 160k steps of 16 images, and its warm-up of 3000 iterations is 1500
steps. Here iterations are optimiser steps, so schedule and warm-up are as at 512, however `total_batch_size` is shared
out. Batch norm then sees what all GPUs see at once: 16 images at 8 GPUs x 2, 8 at BEiT's 8 x 1; on a single GPU
train_dataloader.batch_size must be 2 or more.
"""

_base_ = './ade20k_upernet.py'

crop_size = (640, 640)

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(img_size=crop_size),
    test_cfg=dict(crop_size=crop_size, stride=(426, 426)),
)

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomResize', scale=(2560, 640), ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
        ]
    )
)
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(2560, 640), keep_ratio=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ]
    )
)
test_dataloader = val_dataloader
