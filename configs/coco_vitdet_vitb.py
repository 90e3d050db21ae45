"""ViTDet: Mask R-CNN with ViT-B/16 on COCO 2017, 100 epochs.

Recipe: detectron2's `mask_rcnn_vitdet_b_100ep.py` (ViTDet, arXiv 2203.16527): pyramid from the last map alone, windows
of 14 with four global blocks, relative positions by rows and columns, large-scale jitter at 1024, lr 1e-4 in steps,
weight decay .1, layer decay .7, drop path .1. What differs is said in _base_/coco_vitdet.py.
Known to reach: 51.6 box AP, 45.9 mask AP from MAE's 1600 epochs (quoted: ViTDet's README); without relative positions
51.2 / 45.5, random weights 48.1 box AP, weights of supervised ImageNet-1k 47.6 (quoted: ViTDet). The standard deviation
over five seeds is .1 box AP (quoted: its README).
Cost: 64 A100 with an image each, 10.9 GB and .314 s a step, that is 16 hours (quoted: ViTDet's README). Where memory is
short: model.backbone.grad_checkpoint=True.
Command: tools/dist_train.sh configs/coco_vitdet_vitb.py 8
Own data, official weights: ... --cfg-options data_root=path/to/coco pretrained=mae_pretrain_vit_base.pth
"""

_base_ = ['_base_/coco_vitdet.py']

# The work_dir of a pre-training, or a file in any layout that is known; 'none' for random weights.
pretrained = 'work_dirs/mae_pretrain_vitb'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained)))
