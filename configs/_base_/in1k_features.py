"""What k-NN and the fast linear probe share: nothing is trained but on features, which are computed once; tools/test.py
does it all.

The checkpoint on the command line is that of the ViT: a pre-training's work_dir, or a file of any known layout.
Features are those of linear probing: the class token after the final norm. `model.pooling=patch_mean` takes the mean of
the patches instead, normed without a learnt scale.
"""

_base_ = './classification.py'

data_root = 'data/imagenet/'

model = dict(num_classes=0, pooling='class_token')

# MMEngine takes these together with an optimiser only.
train_dataloader = None
val_dataloader = None
val_evaluator = None
val_cfg = None
test_evaluator = []

loader = dict(
    batch_size=256,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mae_transfer.collate_labelled'),
)
test_dataloader = dict(_delete_=True, dataset=dict(type='LabelledPhotos', data_root=data_root, split='val'), **loader)
# The train images as they are judged: their centres, each once.
train_images = dict(
    dataset=dict(
        type='LabelledPhotos',
        data_root=data_root,
        split='train',
        transform=dict(type='CentreCrop'),
        skip_unreadable=True,
    ),
    **loader,
)
custom_hooks = []
