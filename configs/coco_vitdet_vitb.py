"""ViTDet: Mask R-CNN with ViT-B/16 on COCO 2017, 100 epochs.

Recipe: detectron2's `mask_rcnn_vitdet_b_100ep.py` (ViTDet, arXiv 2203.16527): a pyramid of the last map only, windows
of 14 with four global blocks, relative positions decomposed into rows and columns, large-scale jitter at 1024 pixels,
learning rate 1e-4 with steps, weight decay .1, layer decay .7, drop path .1. For the differences see
configs/_base_/coco_vitdet.py.
Reported: 51.6 box AP, 45.9 mask AP from 1600 epochs of MAE (quoted: ViTDet's README); without relative positions 51.2 /
45.5; from random weights 48.1 box AP, from supervised ImageNet-1k 47.6 (quoted: ViTDet). The standard deviation over
five seeds is .1 box AP (quoted: its README).
Cost: 64 A100 with one image each: 10.9 GB, .314 s per step, 16 hours (quoted: ViTDet's README).
To save memory: model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/coco_vitdet_vitb.py 8
Test: tools/dist_test.sh configs/coco_vitdet_vitb.py work_dirs/coco_vitdet_vitb 8
Own data, official weights: add --cfg-options data_root=path/to/coco pretrained=mae_pretrain_vit_base.pth
"""

_base_ = ['_base_/coco_vitdet.py']
