"""ViTDet: Cascade Mask R-CNN with ViT-H/16 on COCO 2017, 75 epochs.

Recipe: detectron2's `cascade_mask_rcnn_vitdet_h_75ep.py` (ViTDet, arXiv 2203.16527): as ViT-B, with layer decay .9,
drop path .5, weight decay for every parameter, and three quarters of the length.
Reported: 58.7 box AP, 50.9 mask AP from 1600 epochs of MAE (quoted: ViTDet; 58.7 / 51.0 in its README).
Cost: 64 A100 with one image each: 32.9 GB, 1.1 s per step, 44 hours (quoted: ViTDet's README).
To save memory: model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/coco_vitdet_cascade_vith.py 8
Test: tools/dist_test.sh configs/coco_vitdet_cascade_vith.py work_dirs/coco_vitdet_cascade_vith 8
"""

_base_ = ['coco_vitdet_cascade_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vith'
max_iters = 184375 * 3 // 4
# The patch embedding of MAE's ViT-H, for patches of 14, is resampled to 16 on loading, as in the original. Its 16 x 16
# positions are kept: with patches of 16 they are those of 256 x 256 pixels. The table of the original is 14 x 14.
arch = 'huge'
model = dict(backbone=dict(img_size=256, drop_path_rate=0.5))
# The original's ViT-H has weight decay for all parameters, including norms and positions.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.9, no_decay_kind='none', no_decay_names=()))
