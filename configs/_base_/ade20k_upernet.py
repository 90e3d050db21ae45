"""Common settings of UperNet on ADE20K for every ViT: the recipe of implus/mae_segmentation, which MMSegmentation
adopted.

It is BEiT's recipe (semantic_segmentation/) for MAE's weights: the maps after 1/3, 1/2, 2/3 and all of the blocks, by
deconvolutions and a pooling at strides 4 to 32; an auxiliary FCN head on the third map (stride 16), with a loss weight
of .4; in each block a table of relative positions that starts as zero, in addition to the position embedding of the
pre-training.

Named settings:
- `data_root`: a folder in ADEChallengeData2016's layout: `images/{training,validation}/`,
  `annotations/{training,validation}/`.
- `classes`: names of the user's own classes, or a file with one name per line; None for ADE20K's 150.
- `reduce_zero_label`: whether 0 means no class in the label maps and the classes begin at 1, as in ADE20K ("other"
  is 0); False: they begin at 0. 255 is ignored.
- `label_values`: the numbers of the classes in the label maps, in the order of `classes`, where these are neither, e.g.
  (0, 255); all others are ignored. None: as `reduce_zero_label` says.
- `img_suffix`, `seg_map_suffix`: how the names of images and label maps end after the part that they share, e.g.
  '_mask.png'; None for any suffix of an image.
- `pretrained`: work_dir of a pre-training, or a file of weights; 'none' for random weights.
- `init`: what `pretrained` is, where it is no MAE: 'mocov3', 'beit', 'dinov3' and others
  (`mae_transfer/starts.py`), or with a size, such as 'dinov3_vitb16'. The design of the ViT, its patches and positions,
  the normalisation of the images and what was published for it follow. `arch`: size of the ViT.
- `crop_size`: size of the crops, one number or (height, width); all other sizes follow.
- `bands`: which bands of the image files the model sees: 'RGB', 'L' (grey), or their numbers, counted from 1, e.g.
  (3, 2, 1, 7), for files of any depth. `mean`, `std`: a value per channel, on the scale of the files: docs/own_data.md.
- `exif_orientation`: whether images are turned as their EXIF orientation says. By default they are, as in MMCV:
  people label what they see.
- `max_iters`: length of the run in optimiser steps: 160k at a batch of 16 are about 127 epochs. The schedule and all
  intervals follow. `warmup`: steps before the full learning rate.
- `patience`: evaluations without a better mIoU after which the run stops; None for no limit. The best checkpoint
  is then kept, too, as best_*.pth.
- `total_batch_size`: images per optimiser step on any number of GPUs; the runner accumulates gradients accordingly.
  BatchNorm uses the statistics of the images that all GPUs process at once.
- `base_lr`: learning rate per 256 images of `total_batch_size`.
- `norm_cfg`: the norm of the heads and of the pyramid's deconvolutions.

MAE's paper (App. A.4) trains for 100 epochs and publishes no other value.

Testing: predictions of windows of the crop's size that slide over the image are combined (whole images: `--cfg-options
model.test_cfg.mode=whole`). Images may have any size; predictions are evaluated at the original size. `tools/test.py
--tta` averages the predictions of `tta`: the image at six scales, as it is and mirrored, as for the multi-scale numbers
of BEiT and MMSegmentation. These enlarge images that are smaller than the crop to its size, so that their three
smallest scales are the same; here each scale is used as it is, and the tables of relative positions are resized.
"""

_base_ = './dense_runtime.py'
default_scope = 'mmseg'

data_root = 'data/ade/ADEChallengeData2016'
classes = None
reduce_zero_label = True
label_values = None
img_suffix = None
seg_map_suffix = None
pretrained = 'work_dirs/mae_pretrain_vitb'
init = None
arch = 'base'
crop_size = (512, 512)
bands = 'RGB'
mean = '${mean_of(bands, start(init).mean)}'
std = '${std_of(bands, start(init).std)}'
exif_orientation = True
max_iters = 160000
warmup = 1500  # steps
patience = None
total_batch_size = 16
base_lr = "${recipe(init, arch, 'ade20k_upernet.base_lr', 1.6e-3)}"  # 1e-4 at a batch of 16

width = '${size(model.backbone.arch).embed_dim}'  # channels of the ViT's tokens and of the heads
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    # In training, images smaller than the crop are padded to its size. In tests only the input of the ViT is padded,
    # and its prediction is cropped.
    type='mae_transfer.AnySizeSegmentor',
    data_preprocessor=dict(
        type='mae_transfer.SegPreprocessor',
        mean='${mean}',
        std='${std}',
        bgr_to_rgb="${bands == 'RGB'}",  # OpenCV reads BGR
        pad_val=0,
        seg_pad_val=255,
        size='${pair(crop_size)}',
    ),
    backbone=dict(
        type='mae_transfer.ViT',
        arch='${start(init, arch).arch}',
        design='${start(init, arch).design}',
        img_size='${whole_patches(crop_size, model.backbone.patch_size)}',
        in_channels='${channel_count(bands)}',
        patch_size='${start(init, arch).patch_size or 16}',
        out_indices=(1 / 3, 1 / 2, 2 / 3, 1.0),
        class_token='${start(init).class_token}',
        final_norm=False,
        learn_positions=True,
        rel_pos="${start(init).rel_pos_or('table')}",
        rotary_img_size='${start(init).rotary_img_size}',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='${pretrained}'),
    ),
    neck=dict(type='mae_transfer.ViTFPN', embed_dim='${width}', out_channels=None, scale_norm_cfg='${norm_cfg}'),
    decode_head=dict(
        type='mae_transfer.UPerHead',
        in_channels=['${width}'] * 4,
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels='${width}',
        dropout_ratio=0.1,
        num_classes='${class_count(classes, 150)}',
        norm_cfg='${norm_cfg}',
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type='mae_transfer.FCNHead',
        in_channels='${width}',
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes='${class_count(classes, 150)}',
        norm_cfg='${norm_cfg}',
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(
        mode='slide', crop_size='${pair(crop_size)}', stride='${tuple(side * 2 // 3 for side in pair(crop_size))}'
    ),
)

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='mae_transfer.SeededInfiniteSampler', shuffle=True),
    dataset=dict(
        type='mae_transfer.LabelledScenes',
        data_root='${data_root}',
        metainfo=dict(classes='${class_names(classes)}'),
        reduce_zero_label='${reduce_zero_label}',
        label_values='${label_values}',
        img_suffix='${img_suffix}',
        seg_map_suffix='${seg_map_suffix}',
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='mae_transfer.LoadLabels'),
            dict(
                type='RandomResize',
                scale='${(4 * pair(crop_size)[0], pair(crop_size)[0])}',
                ratio_range=(0.5, 2.0),
                keep_ratio=True,
            ),
            dict(type='RandomCrop', crop_size='${pair(crop_size)}', cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            '${jitter_colours(bands)}',
            dict(type='PackSegInputs'),
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
        type='mae_transfer.LabelledScenes',
        data_root='${data_root}',
        test_mode=True,
        metainfo=dict(classes='${class_names(classes)}'),
        reduce_zero_label='${reduce_zero_label}',
        label_values='${label_values}',
        img_suffix='${img_suffix}',
        seg_map_suffix='${seg_map_suffix}',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        pipeline=[
            '${load_image(bands, exif_orientation)}',
            dict(type='Resize', scale='${(4 * pair(crop_size)[0], pair(crop_size)[0])}', keep_ratio=True),
            dict(type='mae_transfer.LoadLabels'),  # after Resize: predictions are evaluated at the original size
            dict(type='PackSegInputs'),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mae_transfer.MeanIoU', iou_metrics=['mIoU'])  # also gives mAcc and aAcc
test_evaluator = val_evaluator
tta = dict(scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75), flip=True)  # for tools/test.py --tta

# No gradient clipping.
optim_wrapper = dict(
    type='mae_transfer.AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='mae_transfer.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay="${recipe(init, arch, 'ade20k_upernet.layer_decay', 0.65)}"),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.05, fused=True),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end='${warmup}', by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin='${warmup}', by_epoch=False),
]
train_cfg = dict(
    type='mae_transfer.IterBasedTrainLoop',
    max_iters='${max_iters}',
    val_interval='${max(1, train_cfg.max_iters // 10)}',
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(
        interval='${max(1, train_cfg.max_iters // 40)}',
        by_epoch=False,
        save_best="${'mIoU' if patience is not None else None}",
    ),
    patience='${patience_hook(patience, default_hooks.checkpoint.save_best)}',
    visualization=dict(type='mae_transfer.SegmentationPictures'),
)
visualizer = dict(type='SegLocalVisualizer', vis_backends='${vis_backends(track)}', name='visualizer')
log_processor = dict(type='mae_transfer.LogProcessor', window_size=50, by_epoch=False)
