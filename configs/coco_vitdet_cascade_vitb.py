"""ViTDet: Cascade Mask R-CNN with ViT-B/16 on COCO 2017, 100 epochs.

Recipe: detectron2's `cascade_mask_rcnn_vitdet_b_100ep.py` (ViTDet, arXiv 2203.16527): as coco_vitdet_vitb.py, with
three box heads one after the other.
Known to reach: 54.0 box AP, 46.7 mask AP from MAE's 1600 epochs (quoted: ViTDet's README).
Cost: 64 A100 with an image each, 12.3 GB and .362 s a step, that is 19 hours (quoted: ViTDet's README). Where memory is
short: model.backbone.grad_checkpoint=True.
Command: tools/dist_train.sh configs/coco_vitdet_cascade_vitb.py 8
Own data, official weights: ... --cfg-options data_root=path/to/coco pretrained=mae_pretrain_vit_base.pth
"""

_base_ = ['_base_/coco_vitdet_cascade.py']

# The work_dir of a pre-training, or a file in any layout that is known; 'none' for random weights.
pretrained = 'work_dirs/mae_pretrain_vitb'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained)))
