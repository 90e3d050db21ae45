"""UperNet with ViT-H/16 on ADE20K, 160k iterations at a batch of 16, crops of 640.

Recipe: none is published for ViT-H. Sizes from BEiT's 640 recipes (_base_/ade20k_upernet_640.py), everything else from
ade20k_upernet_vith.py, whose docstring gives the reasons.
Known to reach: nothing is published; this recipe: not measured.
Cost: not measured. Where memory is short: train_dataloader.batch_size=1 on several GPUs, or
model.backbone.grad_checkpoint=True. Command: tools/dist_train.sh configs/ade20k_upernet_vith_640.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vith_640.py work_dirs/ade20k_upernet_vith_640 8; six scales, mirrored:
... --tta
"""

_base_ = ['ade20k_upernet_vitb_640.py']

pretrained = 'work_dirs/mae_pretrain_vith'
model = dict(
    backbone=dict(
        arch='huge',
        patch_size=16,
        out_indices=(10, 15, 20, 31),
        drop_path_rate=0.3,
        init_cfg=dict(checkpoint=pretrained),
    ),
    neck=dict(embed_dim=1280),
    decode_head=dict(in_channels=[1280, 1280, 1280, 1280], channels=1280),
    auxiliary_head=dict(in_channels=1280),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.85))
