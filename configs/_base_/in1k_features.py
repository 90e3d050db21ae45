"""Common settings of k-NN and the fast linear probe, which use features of the frozen ViT; tools/test.py runs them.

The checkpoint on the command line is that of the ViT: work_dir of a pre-training, a file of any known layout, or 'none'
for random weights. The features are those of linear probing: the class token after the final norm.
`model.pooling=patch_mean` uses the mean of the patches instead, after a norm without learned parameters.
"""

_base_ = './classification.py'

model = dict(num_classes=0, pooling='class_token')

# MMEngine allows these only together with an optimiser.
train_dataloader = None
val_dataloader = None
val_evaluator = None
val_cfg = None
test_evaluator = []

test_dataloader = dict(batch_size=256)
# The features of the training images, too, are those of the centre crop, once for each image.
test_cfg = dict(
    train_dataloader=dict(
        batch_size=256,
        num_workers=8,
        persistent_workers=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='mae_transfer.collate_labelled'),
        dataset=dict(
            type='LabelledPhotos',
            data_root='${data_root}',
            split='train',
            classes='${classes}',
            img_size='${model.vit.img_size}',
            bands='${bands}',
            exif_orientation='${exif_orientation}',
            transform=dict(type='CentreCrop'),
            skip_unreadable=True,
        ),
    )
)
