"""Mask R-CNN with ViT-L/16 on COCO 2017, 100 epochs.

Recipe: MAE App. A.3, that is Li 2021 (arXiv 2111.11429): as ViT-B, with drop path .3.
Known to reach: 53.3 box AP, 47.2 mask AP from MAE's 1600 epochs (quoted: MAE Table 4). In MAE's
table random weights reach 50.7 box AP.
Cost: 32 to 64 V100 (quoted: Li 2021, who publishes no memory; ViTDet, whose ViT is the same but for its relative
positions, needs 20.9 GB an image). Where memory is short: model.backbone.grad_checkpoint=True.
Command: tools/dist_train.sh configs/coco_maskrcnn_vitl.py 8
"""

_base_ = ['coco_maskrcnn_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
model = dict(
    backbone=dict(arch='large', out_indices=(5, 11, 17, 23), drop_path_rate=0.3, init_cfg=dict(checkpoint=pretrained)),
    neck=dict(embed_dim=1024),
)
