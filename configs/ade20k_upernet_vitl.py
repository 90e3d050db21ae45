"""UperNet with ViT-L/16 on ADE20K, 160k iterations at a batch of 16, crops of 512.

Recipe: none is published for ViT-L with MAE's weights. From BEiT-L, whose code MAE's App. A.4 follows: taps after
blocks 7, 11, 15 and 23, heads of 1024 channels, drop path .2 (MAE's fine-tuning of ViT-L on ImageNet has .2 too). From
ViTDet, the one published dense recipe for MAE's ViT-L: layer decay .8, and ViT-B's lr, which it keeps for L and H; .8
over 24 blocks also leaves the embeddings the share of lr that .65 over 12 leaves ViT-B's (.0038 and .0037). Everything
else is ViT-B's. Other values to try: lr 4e-5 with layer decay .9 (BEiT v2, ViT-L without labels seen before); 2e-5 with
.95 is BEiT-L's for weights already fine-tuned on ImageNet.
Known to reach: 53.6 mIoU (quoted: MAE Table 5, whose lr is not published). This recipe: not measured.
Cost: not measured. Where memory is short: model.backbone.grad_checkpoint=True.
Command: tools/dist_train.sh configs/ade20k_upernet_vitl.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vitl.py work_dirs/ade20k_upernet_vitl 8; six scales, mirrored: ... --tta
"""

_base_ = ['ade20k_upernet_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
model = dict(
    backbone=dict(arch='large', out_indices=(7, 11, 15, 23), drop_path_rate=0.2, init_cfg=dict(checkpoint=pretrained)),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
