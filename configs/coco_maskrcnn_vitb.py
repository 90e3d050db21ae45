"""Mask R-CNN with ViT-B/16 on COCO 2017, 100 epochs.

Recipe: MAE App. A.3, that is Li 2021 (arXiv 2111.11429): four taps and FPN, windows of 14 with four global blocks,
relative positions shared over the windowed and over the global blocks, large-scale jitter at 1024, lr 8e-5, weight
decay .1, drop path .1. Known to reach: 50.3 box AP, 44.9 mask AP from MAE's 1600 epochs (quoted: MAE Table 4); 50.4 /
44.9 in an independent implementation (quoted: MIMDet README). In MAE's table random weights reach 48.9 box AP, with lr
1.6e-4 (base_lr=6.4e-4) and weight decay .2 (quoted: Li 2021).
Cost: 32 to 64 V100 with two or one images each (quoted: Li 2021, who publishes no memory; ViTDet, whose ViT is the same
but for its relative positions, needs 10.9 GB an image). Where memory is short: model.backbone.grad_checkpoint=True.
Relative positions are worth .2 to .3 AP for 25% of the training time and 15% of the memory (quoted: Li 2021);
model.backbone.rel_pos=None and model.backbone.rel_pos_img_size=None leave them out.
Command: tools/dist_train.sh configs/coco_maskrcnn_vitb.py 8
Own data, official weights: ... --cfg-options data_root=path/to/coco pretrained=mae_pretrain_vit_base.pth
"""

_base_ = ['_base_/coco_maskrcnn.py']

# The work_dir of a pre-training, or a file in any layout that is known; 'none' for random weights.
pretrained = 'work_dirs/mae_pretrain_vitb'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained)))
