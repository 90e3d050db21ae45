"""Common settings of all classification protocols: ImageNet-1k's data and evaluation, the model, the runtime.

Named settings:
- `data_root`: a folder with `train/` and `val/`, each with a folder for each class. For other layouts see
  `LabelledPhotos` and configs/transfer/.
- `classes`: names of all classes in the order of their labels, or a file with one name per line; None takes them from
  each data set's folders or list. Needed where a data set has no images of some classes.
- `pretrained`: work_dir of a pre-training, or a file of official MAE, timm, mmpretrain or Hugging Face weights; 'none'
  for random weights.
- `init`: what `pretrained` is, where it is no MAE: 'mocov3', 'beit', 'dinov3' and others
  (`mae_transfer/starts.py`), or with a size, such as 'dinov3_vitb16'. The design of the ViT, its patches and positions,
  the normalisation of the images and what was published for it follow. `arch`: size of the ViT.
- `image_size`: size of all images, one number or (height, width); the position embedding is resized for it.
- `bands`: which bands of the image files the model sees: 'RGB', 'L' (grey), or their numbers, counted from 1, e.g.
  (3, 2, 1, 7), for files of any depth. `mean`, `std`: a value per channel, on the scale of the files: docs/own_data.md.
- `exif_orientation`: whether images are turned as their EXIF orientation says. By default they are not, as in the
  official code.
- In the protocols that train, also `max_epochs`: length of the run; the schedule and all intervals follow. `warmup`:
  epochs before the full learning rate. `repeat`: passes over the images in one epoch, for small sets, whose epochs
  would be few steps. `total_batch_size`: images per optimiser step on any number of GPUs. `base_lr`: learning rate per
  256 images. `compile`: whether the transformer blocks are compiled by `torch.compile`, which needs a compiler of C or
  C++. `patience`: evaluations without a better top-1 accuracy after which the run stops; None for no limit. The best
  checkpoint is then kept, too, as best_*.pth.
"""

_base_ = './runtime.py'

data_root = 'data/imagenet'
classes = None
pretrained = 'work_dirs/mae_pretrain_vitb'
init = None
arch = 'base'
image_size = 224
bands = 'RGB'
mean = '${mean_of(bands, start(init).mean)}'
std = '${std_of(bands, start(init).std)}'
exif_orientation = False

model = dict(
    type='ViTClassifier',
    num_classes=1000,
    data_preprocessor=dict(type='LabelledPreprocessor', mean='${mean}', std='${std}'),
    vit=dict(
        type='ViT',
        arch='${start(init, arch).arch}',
        design='${start(init, arch).design}',
        img_size='${image_size}',
        patch_size='${start(init, arch).patch_size}',
        class_token='${start(init).class_token}',
        rel_pos='${start(init).rel_pos}',
        rotary_img_size='${start(init).rotary_img_size}',
        in_channels='${channel_count(bands)}',
        learn_positions=True,
        init_cfg=dict(type='Pretrained', checkpoint='${pretrained}'),
    ),
)

train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    collate_fn=dict(type='mae_transfer.collate_labelled'),
    dataset=dict(
        type='LabelledPhotos',
        data_root='${data_root}',
        split='train',
        classes='${classes}',
        img_size='${model.vit.img_size}',
        bands='${bands}',
        exif_orientation='${exif_orientation}',
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mae_transfer.collate_labelled'),
    dataset=dict(
        type='LabelledPhotos',
        data_root='${data_root}',
        split='val',
        classes='${classes}',
        img_size='${model.vit.img_size}',
        bands='${bands}',
        exif_orientation='${exif_orientation}',
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator

default_hooks = dict(logger=dict(interval=50), confusion=dict(type='ConfusionHook'))
