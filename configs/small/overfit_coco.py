"""Mask R-CNN with a small ViT overfits four images, which shows that every part of it learns.

The model of configs/small/coco_maskrcnn.py starts from random weights and is trained, without augmentation, and
evaluated on the same four images: those of `indices`, among the images that have annotations. The default is for
../shared/data/coco_mini: its first four images with at most six objects, none of them a crowd or smaller than 2% of the
image (24577: two donuts; 57345: two giraffes; 72258: four toothbrushes and a cup; 84533: a motorcycle and a person).
Measured: box AP .868, mask AP .475 on these images (docs/results.md). Cost: 3.5 minutes of one CPU core.
Train: tools/train.py configs/small/overfit_coco.py --cfg-options data_root=../shared/data/coco_mini
Test: tools/test.py configs/small/overfit_coco.py work_dirs/small/overfit_coco
    --cfg-options data_root=../shared/data/coco_mini
"""

_base_ = ['./coco_maskrcnn.py']

data_root = 'data/coco_mini'
pretrained = 'none'
image_size = (256, 256)
indices = [2, 8, 12, 16]
max_epochs = 160  # of one step each: the four images are one batch
warmup = 10

model = dict(backbone=dict(drop_path_rate=0.0))

four_images = dict(
    ann_file='annotations/instances_train2017.json', data_prefix=dict(img='train2017/'), indices='${indices}'
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='Resize', scale='${pair(image_size)}', keep_ratio=True),
            dict(type='PackDetInputs'),
        ],
        **four_images,
    )
)
val_dataloader = dict(
    dataset=dict(
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        test_mode=False,  # filters the images as in training, so that the indices mean the same ones
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='Resize', scale='${pair(image_size)}', keep_ratio=True),
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'instances'),
            ),
        ],
        **four_images,
    )
)
test_dataloader = val_dataloader
del four_images
# Without a file the ground truth is that of the four images; with the file, all objects of other images would count as
# missed.
val_evaluator = dict(ann_file=None)
test_evaluator = dict(ann_file=None)

optim_wrapper = dict(optimizer=dict(weight_decay=0.0), paramwise_cfg=dict(layer_decay=1.0))
default_hooks = dict(logger=dict(interval=20))
