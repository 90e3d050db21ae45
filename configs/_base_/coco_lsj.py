"""COCO 2017 with large-scale jitter at 1024 x 1024, and its evaluation: the data of both COCO recipes.

Source: Li 2021 (arXiv 2111.11429, App. A.2) and ViTDet (detectron2,
`projects/ViTDet/configs/common/coco_loader_lsj.py`), which agree.

Named settings:
- `data_root`: a folder in COCO 2017's layout: `annotations/instances_{train,val}2017.json`, `train2017/`, `val2017/`.
- `classes`: names of the classes, if they are not COCO's 80: a tuple, or a file with one name per line.
- `init`: what `pretrained` is, where it is no MAE: 'mocov3', 'beit', 'dinov3' and others
  (`mae_transfer/starts.py`), or with a size, such as 'dinov3_vitb16'. The design of the ViT, its patches and positions,
  the normalisation of the images and what was published for it follow.
- `image_size`: size of the crops, one number or (height, width). Images are padded to a square of the longer side, for
  which the tables of relative positions are made.
- `bands`: which bands of the image files the model sees: 'RGB', 'L' (grey), or their numbers, counted from 1, e.g.
  (3, 2, 1, 7), for files of any depth. `mean`, `std`: a value per channel, on the scale of the files: docs/own_data.md.
- `patience`: evaluations without a better box AP after which the run stops; None for no limit. The best checkpoint
  is then kept, too, as best_*.pth.
- `exif_orientation`: whether images are turned as their EXIF orientation says. By default they are, as in MMCV:
  people label what they see.
"""

_base_ = './dense_runtime.py'
default_scope = 'mmdet'

data_root = 'data/coco'
classes = None
init = None
image_size = (1024, 1024)
bands = 'RGB'
mean = '${mean_of(bands, start(init).mean)}'
std = '${std_of(bands, start(init).std)}'
exif_orientation = True
patience = None

# Large-scale jitter: resize to 102 to 2048 pixels, then crop to 1024. The flip comes first, as in the original: that
# does not change the result, and the image is still small there.
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mae_transfer.SeededSampler', shuffle=True),
    dataset=dict(
        type='mae_transfer.CocoImages',
        data_root='${data_root}',
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        metainfo=dict(classes='${class_names(classes)}'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='RandomFlip', prob=0.5),
            dict(type='RandomResize', scale='${pair(image_size)}', ratio_range=(0.1, 2.0), keep_ratio=True),
            dict(
                type='RandomCrop',
                crop_type='absolute',
                crop_size='${pair(image_size)[::-1]}',  # MMDetection's is (width, height)
                recompute_bbox=True,
                allow_negative_crop=True,
            ),
            # With keep_empty=True another image would be drawn. Here a crop without objects is kept, as background.
            dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
            dict(type='PackDetInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mae_transfer.CocoImages',
        data_root='${data_root}',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        metainfo=dict(classes='${class_names(classes)}'),
        test_mode=True,
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='Resize', scale='${pair(image_size)}', keep_ratio=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='mae_transfer.CocoAP',
    ann_file='${join(val_dataloader.dataset.data_root, val_dataloader.dataset.ann_file)}',
    metric=['bbox', 'segm'],
)
test_evaluator = dict(
    val_evaluator, ann_file='${join(test_dataloader.dataset.data_root, test_dataloader.dataset.ann_file)}'
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    checkpoint=dict(save_best="${'coco/bbox_mAP' if patience is not None else None}"),
    patience='${patience_hook(patience, default_hooks.checkpoint.save_best)}',
    visualization=dict(type='mae_transfer.DetectionPictures'),
)
visualizer = dict(type='DetLocalVisualizer', vis_backends='${vis_backends(track)}', name='visualizer')
