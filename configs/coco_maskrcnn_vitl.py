"""Mask R-CNN with ViT-L/16 on COCO 2017, 100 epochs.

Recipe: MAE App. A.3, which is Li 2021 (arXiv 2111.11429): as ViT-B, with drop path .3.
Reported: 53.3 box AP, 47.2 mask AP from 1600 epochs of MAE; random weights: 50.7 box AP (quoted: MAE Table 4).
Cost: 32 to 64 V100 (quoted: Li 2021, who publishes no memory; ViTDet, whose ViT differs only in its relative positions,
needs 20.9 GB per image). To save memory: model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/coco_maskrcnn_vitl.py 8
Test: tools/dist_test.sh configs/coco_maskrcnn_vitl.py work_dirs/coco_maskrcnn_vitl 8
"""

_base_ = ['coco_maskrcnn_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
arch = 'large'
model = dict(backbone=dict(drop_path_rate=0.3))
