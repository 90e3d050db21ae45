"""ViTDet: Cascade Mask R-CNN with ViT-L/16 on COCO 2017, 100 epochs.

Recipe: detectron2's `cascade_mask_rcnn_vitdet_l_100ep.py` (ViTDet, arXiv 2203.16527): as ViT-B, with layer decay .8 and
drop path .4.
Reported: 57.6 box AP, 49.8 mask AP from 1600 epochs of MAE (quoted: ViTDet; 57.6 / 50.0 in its README).
Cost: 64 A100 with one image each: 22.3 GB, .643 s per step, 33 hours (quoted: ViTDet's README).
To save memory: model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/coco_vitdet_cascade_vitl.py 8
Test: tools/dist_test.sh configs/coco_vitdet_cascade_vitl.py work_dirs/coco_vitdet_cascade_vitl 8
"""

_base_ = ['coco_vitdet_cascade_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
arch = 'large'
model = dict(backbone=dict(drop_path_rate=0.4))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
