"""Mask R-CNN with a small ViT learns four images by heart: does every part of it learn?

The model of configs/small/coco_maskrcnn.py from random weights, without augmentation, trained and judged on the same
four images of COCO 2017's layout: those of `indices`, counted among the images that have annotations. The default is
for ../shared/data/coco_mini: its first four images with at most six objects, none of them a crowd or smaller than 2% of
the image (24577: two donuts; 57345: two giraffes; 72258: four toothbrushes and a cup; 84533: a motorcycle and a
person). Measured: box AP .868, mask AP .475 on these images (docs/results.md). Cost: 3.5 minutes of one CPU core.
Command: tools/train.py configs/small/overfit_coco.py --cfg-options data_root=../shared/data/coco_mini, then
tools/test.py configs/small/overfit_coco.py work_dirs/small/overfit_coco --cfg-options
data_root=../shared/data/coco_mini
"""

_base_ = ['./coco_maskrcnn.py']

data_root = 'data/coco_mini/'
pretrained = 'none'
image_size = (256, 256)
indices = [2, 8, 12, 16]
max_iters = 160

model = dict(backbone=dict(drop_path_rate=0.0, init_cfg=dict(type='Pretrained', checkpoint=pretrained)))

four_images = dict(
    data_root=data_root,
    ann_file='annotations/instances_train2017.json',
    data_prefix=dict(img='train2017/'),
    indices=indices,
)
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='Resize', scale=image_size, keep_ratio=True),
            dict(type='PackDetInputs'),
        ],
        **four_images,
    ),
)
val_dataloader = dict(
    dataset=dict(
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        test_mode=False,  # filtered as for training, so that the indices mean the same images
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='Resize', scale=image_size, keep_ratio=True),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
            ),
        ],
        **four_images,
    )
)
test_dataloader = val_dataloader
# Without a file the truth is that of the images that were seen; with one, images that were not seen would count as
# missed.
val_evaluator = dict(ann_file=None)
test_evaluator = val_evaluator

optim_wrapper = dict(optimizer=dict(weight_decay=0.0), paramwise_cfg=dict(layer_decay=1.0))
param_scheduler = [dict(type='mae_transfer.WarmupCosineLR', warmup=10, end=max_iters)]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
log_processor = dict(by_epoch=False)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_iters, by_epoch=False))
