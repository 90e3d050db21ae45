"""ViTDet: Cascade Mask R-CNN with ViT-B/16 on COCO 2017, 100 epochs.

Recipe: detectron2's `cascade_mask_rcnn_vitdet_b_100ep.py` (ViTDet, arXiv 2203.16527): as coco_vitdet_vitb.py, with a
cascade of three box heads.
Reported: 54.0 box AP, 46.7 mask AP from 1600 epochs of MAE (quoted: ViTDet's README).
Cost: 64 A100 with one image each: 12.3 GB, .362 s per step, 19 hours (quoted: ViTDet's README).
To save memory: model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/coco_vitdet_cascade_vitb.py 8
Test: tools/dist_test.sh configs/coco_vitdet_cascade_vitb.py work_dirs/coco_vitdet_cascade_vitb 8
Own data, official weights: add --cfg-options data_root=path/to/coco pretrained=mae_pretrain_vit_base.pth
"""

_base_ = ['_base_/coco_vitdet_cascade.py']
