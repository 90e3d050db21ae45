"""Common settings of all BEiT pre-trainings: the recipe for ImageNet-1k, on any folder of photos.

Recipe: official README.md (the command for ImageNet-1k: batch, rate, epochs, warm-up, clipping, drop path, layer scale,
statistics), run_beit_pretraining.py (defaults: AdamW and its betas, weight decay, lowest rate, blocks of 16 patches or
more, 112 pixels and Lanczos for the tokenizer), masking_generator.py (aspect of the blocks), transforms.py (crops of at
least .08 of the photo) and datasets.py of later versions (colours jittered by .4); BEiT (arXiv 2106.08254), section 2.
Ours: bfloat16 in place of float16; the same number of masked patches in every image, 75, where the official generator
masks up to 75; a warm-up that reaches the full rate a step later; the evaluation on held-out photos.

Named settings:
- `data_root`: a folder tree of images, a list file, or ImageNet (with `train/` and `val/`); a list of these is read as
  one data set.
- `tokenizer`: the published encoder.pkl of DALL-E's dVAE, or its weights. For another tokenizer set
  `model.target.tokenizer`, e.g. to our own of configs/tokenizer_dvae.py.
- `pretrained`: weights of the ViT to go on from; 'none' for random weights. The head and the mask token are always new.
- `arch`: size of the ViT. `layer_scale`: initial factor of each channel of what a block adds: .1 for B, 1e-5 for L.
- `image_size`: size of all crops, one number or (height, width).
- `bands`: 'RGB', the only one here: other bands have no hue to change, and no published tokenizer.
- `exif_orientation`: whether images are turned as their EXIF orientation says. By default they are not, as in the
  official code.
- `max_epochs`: length of the run; the schedule and all intervals follow. `warmup`: epochs before the full learning
  rate.
- `repeat`: passes over the photos in one epoch, each with other crops: for small sets, whose epochs would be few steps.
- `total_batch_size`: images per optimiser step on any number of GPUs; the runner accumulates gradients accordingly.
- `base_lr`: learning rate per 256 images of `total_batch_size`.
- `probe_data`: labelled images, on which k-NN and a linear classifier on the frozen ViT are evaluated at each
  validation: a folder with `train/<class>/` and `val/<class>/`, or settings of `LabelledPhotos`; None for none
  (docs/is_it_learning.md).
"""

_base_ = './runtime.py'

data_root = 'data/imagenet'
tokenizer = 'data/dalle/encoder.pkl'
pretrained = 'none'
arch = 'base'
layer_scale = 0.1
image_size = 224
bands = 'RGB'
exif_orientation = False
probe_data = None
max_epochs = 800
warmup = 10  # epochs
repeat = 1
total_batch_size = 2048
base_lr = 1.875e-4  # 1.5e-3 at a batch of 2048

model = dict(
    type='BEiT',
    data_preprocessor=dict(type='PhotoPreprocessor'),  # ImageNet's statistics: --imagenet_default_mean_and_std
    vit=dict(
        type='ViT',
        arch='${arch}',
        design=dict(like='beit', layer_scale='${layer_scale}'),
        rel_pos='shared',
        img_size='${image_size}',
        drop_path_rate=0.1,
        init_cfg=dict(type='Pretrained', checkpoint='${pretrained}'),
    ),
    masking=dict(type='BlockMasking', ratio=0.3826, least_area=16, aspect=0.3),  # 75 of 196 patches
    target=dict(type='TokenTarget', tokenizer=dict(type='DALLEEncoder', checkpoint='${tokenizer}')),
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
        type='PhotosInTwoSizes',
        data_root='${data_root}',
        split='train',
        img_size='${model.vit.img_size}',
        token_scale=0.5,  # a stride of 8 for patches of 16: 112 pixels for 224
        scale=(0.08, 1.0),
        color_jitter=(0.4, 0.4, 0.4, 0.0),
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
        type='PhotosInTwoSizes',
        data_root='${data_root}',
        split='val',
        img_size='${model.vit.img_size}',
        token_scale='${train_dataloader.dataset.token_scale}',
        bands='${bands}',
        exif_orientation='${exif_orientation}',
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ReconstructionLoss')
test_evaluator = val_evaluator

# No weight decay for biases, norms, layer scale and the class token, as in the official code; the mask token and the
# table of relative positions have it.
optim_wrapper = dict(
    type='AutocastOptimWrapper',
    dtype='bfloat16',
    constructor='LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay=1.0),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=3.0),
)
param_scheduler = [
    dict(type='WarmupCosineLR', warmup='${warmup}', min_lr=1e-5, by_epoch=True, convert_to_iter_based=True)
]

# With 800 epochs: a validation and pictures every 50 epochs, a checkpoint every 10.
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs='${max_epochs}', val_interval='${max(1, train_cfg.max_epochs // 16)}'
)
default_hooks = dict(
    checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 80)}'),
    reconstructions=dict(type='ReconstructionHook', interval='${max(1, train_cfg.max_epochs // 16)}'),
    learning=dict(
        type='LearningHook',
        probe_data='${probe_data}',
        images=dict(img_size='${model.vit.img_size}', bands='${bands}', exif_orientation='${exif_orientation}'),
        dtype='${optim_wrapper.get("dtype", "float32")}',
    ),
)
