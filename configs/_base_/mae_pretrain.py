"""Common settings of all MAE pre-trainings: the recipe of MAE Table 8, on any folder of photos.

Named settings:
- `data_root`: a folder tree of images, a list file, or ImageNet (with `train/` and `val/`); a list of these is read as
  one data set.
- `pretrained`: weights to go on from: work_dir of another pre-training, or a file of official MAE, timm, mmpretrain or
  Hugging Face weights, whose decoder is taken over too, if it has one that fits; 'none' for random weights.
- `init`: what `pretrained` is, where it is no MAE: 'mocov3', 'beit', 'dinov3' and others
  (`mae_transfer/starts.py`), or with a size, such as 'dinov3_vitb16'. The design of the ViT, its patches and positions,
  the normalisation of the images and what was published for it follow. `arch`: size of the ViT.
- `image_size`: size of all crops, one number or (height, width).
- `bands`: which bands of the image files the model sees: 'RGB', 'L' (grey), or their numbers, counted from 1, e.g.
  (3, 2, 1, 7), for files of any depth. `mean`, `std`: a value per channel, on the scale of the files: docs/own_data.md.
- `exif_orientation`: whether images are turned as their EXIF orientation says. By default they are not, as in the
  official code.
- `max_epochs`: length of the run; the schedule and all intervals follow. `warmup`: epochs before the full learning
  rate.
- `repeat`: passes over the photos in one epoch, each with other crops: for small sets, whose epochs would be few steps.
- `crops_per_decode`: crops that are made of a photo each time it is read, for slow disks and few cores: an epoch then
  reads a part of the photos, and still has one crop for each (`SeededSampler`). 1: the recipe.
- `total_batch_size`: images per optimiser step on any number of GPUs; the runner accumulates gradients accordingly.
- `base_lr`: learning rate per 256 images of `total_batch_size`.
- `probe_data`: labelled images, on which k-NN and a linear classifier on the frozen ViT are evaluated at each
  validation: a folder with `train/<class>/` and `val/<class>/`, or settings of `LabelledPhotos`; None for none
  (docs/is_it_learning.md).
- `compile`: whether the transformer blocks are compiled by `torch.compile`, which needs a compiler of C or C++.
"""

_base_ = './runtime.py'

data_root = 'data/imagenet'
pretrained = 'none'
init = None
arch = 'base'
image_size = 224
bands = 'RGB'
mean = '${mean_of(bands, start(init).mean)}'
std = '${std_of(bands, start(init).std)}'
exif_orientation = False
probe_data = None
max_epochs = 1600
warmup = 40  # epochs
repeat = 1
crops_per_decode = 1
total_batch_size = 4096
base_lr = 1.5e-4  # 2.4e-3 at a batch of 4096

model = dict(
    type='MAE',
    data_preprocessor=dict(type='PhotoPreprocessor', mean='${mean}', std='${std}'),
    vit=dict(
        type='ViT',
        arch='${start(init, arch).arch}',
        design='${start(init, arch).design}',
        img_size='${image_size}',
        patch_size='${start(init, arch).patch_size}',
        rotary_img_size='${start(init).rotary_img_size}',
        in_channels='${channel_count(bands)}',
        init_cfg=dict(type='Pretrained', checkpoint='${pretrained}'),
    ),
    masking=dict(type='RandomMasking', ratio=0.75),
    decoder=dict(type='MAEDecoder', embed_dim=512, depth=8, num_heads=16),
    target=dict(type='NormalizedPixelTarget'),
)

train_dataloader = dict(
    batch_size=64,
    repeat='${repeat}',
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True, repeats='${crops_per_decode}'),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(
        type='Photos',
        data_root='${data_root}',
        split='train',
        img_size='${model.vit.img_size}',
        scale=(0.2, 1.0),
        bands='${bands}',
        exif_orientation='${exif_orientation}',
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(
        type='Photos',
        data_root='${data_root}',
        split='val',
        img_size='${model.vit.img_size}',
        bands='${bands}',
        exif_orientation='${exif_orientation}',
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ReconstructionLoss')
test_evaluator = val_evaluator

# No weight decay for biases and norms; the class and the mask token have it, as in the official pre-training.
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0, no_decay_names=()),
    optimizer=dict(type='AdamW', betas=(0.9, 0.95), weight_decay=0.05, fused=True),
)
param_scheduler = [dict(type='WarmupCosineLR', warmup='${warmup}', by_epoch=True, convert_to_iter_based=True)]

# With 1600 epochs: a validation and pictures every 100 epochs, a checkpoint every 20.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs='${max_epochs}', val_interval='${max(1, train_cfg.max_epochs // 16)}'
)
default_hooks = dict(
    checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 80)}'),
    reconstructions=dict(type='ReconstructionHook', interval='${max(1, train_cfg.max_epochs // 16)}'),
    fit_target=dict(type='FitTargetHook'),  # for targets that are fitted to the photos; does nothing for pixels
    learning=dict(
        type='LearningHook',
        probe_data='${probe_data}',
        images=dict(img_size='${model.vit.img_size}', bands='${bands}', exif_orientation='${exif_orientation}'),
        dtype='${optim_wrapper.get("dtype", "float32")}',
    ),
)
