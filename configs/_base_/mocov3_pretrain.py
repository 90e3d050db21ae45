"""Common settings of all MoCo v3 pre-trainings: the official recipe for ViTs, on any folder of photos.

Recipe: official CONFIG.md (commands of ViT-S and ViT-B) and main_moco.py (defaults). Ours: bfloat16 in place of
float16; sin-cos positions in MAE's order of channels; the evaluation on held-out photos.

Named settings:
- `data_root`: a folder tree of images, a list file, or ImageNet (with `train/` and `val/`); a list of these is read as
  one data set.
- `pretrained`: weights of the ViT to go on from; 'none' for random weights. Projector and predictor are always new.
- `arch`: size of the ViT.
- `image_size`: size of all views, one number or (height, width).
- `bands`: 'RGB', the only one here: other bands have no hue to change.
- `exif_orientation`: whether images are turned as their EXIF orientation says. By default they are not, as in the
  official code.
- `max_epochs`: length of the run; the schedule, the momentum and all intervals follow. `warmup`: epochs before the full
  learning rate.
- `repeat`: passes over the photos in one epoch, each with other views.
- `total_batch_size`: photos per optimiser step on any number of GPUs. The runner accumulates gradients accordingly, but
  each photo is compared only with those of one forward pass on all GPUs: the log says with how many.
- `base_lr`: learning rate per 256 photos of `total_batch_size`.
- `probe_data`: labelled images, on which k-NN and a linear classifier on the frozen ViT are evaluated at each
  validation: a folder with `train/<class>/` and `val/<class>/`, or settings of `LabelledPhotos`; None for none
  (docs/is_it_learning.md).
"""

_base_ = './runtime.py'

data_root = 'data/imagenet'
pretrained = 'none'
arch = 'base'
image_size = 224
bands = 'RGB'
exif_orientation = False
probe_data = None
max_epochs = 300
warmup = 40  # epochs
repeat = 1
total_batch_size = 4096
base_lr = 1.5e-4  # 2.4e-3 at a batch of 4096

model = dict(
    type='MoCoV3',
    data_preprocessor=dict(type='PhotoPreprocessor'),
    vit=dict(
        type='ViT',
        arch='${arch}',
        img_size='${image_size}',
        init_cfg=dict(type='Pretrained', checkpoint='${pretrained}'),
    ),
    hidden_dim=4096,
    out_dim=256,
    temperature=0.2,
)

train_dataloader = dict(
    batch_size=64,
    repeat='${repeat}',
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='mae_transfer.collate_photos'),
    dataset=dict(
        type='PhotoPairs',
        data_root='${data_root}',
        split='train',
        img_size='${model.vit.img_size}',
        scale=(0.08, 1.0),
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
        type='PhotoPairs',
        data_root='${data_root}',
        split='val',
        img_size='${model.vit.img_size}',
        scale='${train_dataloader.dataset.scale}',
        bands='${bands}',
        exif_orientation='${exif_orientation}',
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ViewMatching', temperature='${model.temperature}')
test_evaluator = val_evaluator

# torch.optim.AdamW on all parameters, as in the official code: biases and norms are decayed too.
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0, no_decay_kind='none', no_decay_names=()),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), weight_decay=0.1, fused=True),
)
param_scheduler = [dict(type='WarmupCosineLR', warmup='${warmup}', by_epoch=True, convert_to_iter_based=True)]

# With 300 epochs: a validation every 18 epochs, a checkpoint every 3.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs='${max_epochs}', val_interval='${max(1, train_cfg.max_epochs // 16)}'
)
default_hooks = dict(
    checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 80)}'),
    momentum=dict(type='MomentumHook', start=0.99),
    learning=dict(
        type='LearningHook',
        loss='views/loss',
        loss_title='loss of the views',
        photos=dict(
            type='Photos',
            data_root='${data_root}',
            split='val',
            img_size='${model.vit.img_size}',
            hold_out='${val_dataloader.dataset.get("hold_out", 0.02)}',
            bands='${bands}',
            exif_orientation='${exif_orientation}',
        ),
        probe_data='${probe_data}',
        images=dict(img_size='${model.vit.img_size}', bands='${bands}', exif_orientation='${exif_orientation}'),
        dtype='${optim_wrapper.get("dtype", "float32")}',
    ),
)
