"""UperNet with ViT-L/16 on ADE20K, 160k iterations at a batch of 16.

Recipe: none is published for ViT-L with MAE's weights. From BEiT-L (the code that MAE's App. A.4 follows): taps after blocks 7,
11, 15 and 23, heads of 1024 channels, drop path .2. From MAE's fine-tuning of ViT-L on ImageNet: layer decay .75, drop path .2.
Kept from ViT-B: lr 1e-4; .75 over twice the blocks leaves every block less of it than .65 leaves ViT-B's block at the same
relative depth. BEiT-L's own 2e-5 with .95 belongs to weights already fine-tuned on ImageNet.
Known to reach: 53.6 mIoU (quoted: MAE Table 5, whose lr is not published). This recipe: not measured.
Cost: not measured. Where memory is short: model.backbone.grad_checkpoint=True.
Command: tools/dist_train.sh configs/ade20k_upernet_vitl.py 8
"""
_base_ = ['ade20k_upernet_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
model = dict(
    backbone=dict(arch='large', out_indices=(7, 11, 15, 23), drop_path_rate=.2, init_cfg=dict(checkpoint=pretrained)),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=.75))
