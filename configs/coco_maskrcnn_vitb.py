"""Mask R-CNN with ViT-B/16 on COCO 2017, 100 epochs.

Recipe: MAE App. A.3, which is Li 2021 (arXiv 2111.11429): FPN on four maps of the ViT, windows of 14 with four global
blocks, relative positions that all windowed and all global blocks share, large-scale jitter at 1024 pixels, learning
rate 8e-5, weight decay .1, drop path .1.
Reported: 50.3 box AP, 44.9 mask AP from 1600 epochs of MAE (quoted: MAE Table 4); 50.4 / 44.9 by an independent
implementation (quoted: MIMDet README). Random weights: 48.9 box AP (MAE Table 4), with learning rate 1.6e-4
(base_lr=6.4e-4) and weight decay .2 (quoted: Li 2021).
Cost: 32 to 64 V100 with two images or one each (quoted: Li 2021, who publishes no memory; ViTDet, whose ViT differs
only in its relative positions, needs 10.9 GB per image). To save memory: model.backbone.grad_checkpoint=True.
Relative positions gain .2 to .3 AP for 25% of the training time and 15% of the memory (quoted: Li 2021);
model.backbone.rel_pos=None model.backbone.rel_pos_img_size=None leave them out.
Train: tools/dist_train.sh configs/coco_maskrcnn_vitb.py 8
Test: tools/dist_test.sh configs/coco_maskrcnn_vitb.py work_dirs/coco_maskrcnn_vitb 8
Own data, official weights: add --cfg-options data_root=path/to/coco pretrained=mae_pretrain_vit_base.pth
"""

_base_ = ['_base_/coco_maskrcnn.py']
