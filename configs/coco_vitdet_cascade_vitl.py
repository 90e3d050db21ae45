"""ViTDet: Cascade Mask R-CNN with ViT-L/16 on COCO 2017, 100 epochs.

Recipe: detectron2's `cascade_mask_rcnn_vitdet_l_100ep.py` (ViTDet, arXiv 2203.16527): as ViT-B, with layer decay .8 and
drop path .4.
Known to reach: 57.6 box AP, 49.8 mask AP from MAE's 1600 epochs (quoted: ViTDet; 57.6 / 50.0 in its README).
Cost: 64 A100 with an image each, 22.3 GB and .643 s a step, that is 33 hours (quoted: ViTDet's README). Where memory is
short: model.backbone.grad_checkpoint=True.
Command: tools/dist_train.sh configs/coco_vitdet_cascade_vitl.py 8
"""

_base_ = ['coco_vitdet_cascade_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
model = dict(
    backbone=dict(arch='large', drop_path_rate=0.4, init_cfg=dict(checkpoint=pretrained)), neck=dict(embed_dim=1024)
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
