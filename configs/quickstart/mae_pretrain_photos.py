"""MAE pre-training of the quickstart's ViT on a dozen real photos, by crops, in some minutes.

The recipe is configs/quickstart/mae_pretrain.py. Differences: crops of any size from a fiftieth of a photo on, 80 crops
of each photo in an epoch, a batch of 32, 28 epochs. So few photos teach no features for a transfer: it shows how
reconstructions get better, on photos that are held out.
Train: tools/train.py configs/quickstart/mae_pretrain_photos.py --cfg-options data_root=photos
Test: tools/test.py configs/quickstart/mae_pretrain_photos.py work_dirs/quickstart/mae_pretrain_photos
"""

_base_ = ['mae_pretrain.py']

data_root = 'work_dirs/quickstart_photos/photos'
max_epochs = 28
warmup = 1
repeat = 80
total_batch_size = 32
base_lr = 6e-3  # 7.5e-4 at 32, as there at 64: half of the batch, twice the steps

train_dataloader = dict(batch_size=32, dataset=dict(scale=(0.02, 1.0)))

train_cfg = dict(val_interval='${train_cfg.max_epochs}')
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(interval='${max(1, train_cfg.max_epochs // 4)}'),
    # The first picture comes within a minute.
    reconstructions=dict(interval='${max(1, train_cfg.max_epochs // 9)}'),
)
