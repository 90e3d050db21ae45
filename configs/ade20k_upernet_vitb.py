"""UperNet with ViT-B/16 on ADE20K, 160k iterations at a batch of 16, crops of 512.

Recipe: implus/mae_segmentation, MMSegmentation configs/mae: lr 1e-4, layer decay .65, drop path .1, taps after blocks
3, 5, 7 and 11, the position table trained, a table of relative positions per block. MAE's paper (App. A.4) gives 100
epochs at a batch of 16 and searches lr, which it does not publish. A hint by one of Meta's authors
(facebookresearch/long_seq_mae#1): 160k iterations at a batch of 16 with lr 8e-5, layer decay .8, drop path .1
(`--cfg-options base_lr=1.28e-3 optim_wrapper.paramwise_cfg.layer_decay=.8`).
Known to reach: 48.1 mIoU (quoted: MAE Table 5); 48.15, mAcc 58.99, aAcc 83.05 (quoted: implus/mae_segmentation); 48.13,
and 48.70 at several scales and mirrored (quoted: MMSegmentation).
Cost: 8 V100, 9.96 GB each with two images (quoted: MMSegmentation).
Command: tools/dist_train.sh configs/ade20k_upernet_vitb.py 8
Own data, official weights: ... --cfg-options data_root=path/to/ADEChallengeData2016
pretrained=mae_pretrain_vit_base.pth Test: tools/dist_test.sh configs/ade20k_upernet_vitb.py
work_dirs/ade20k_upernet_vitb 8 Six scales, mirrored: ... --tta (fewer: --cfg-options tta.scales=(1.,1.25)). Whole
images: --cfg-options model.test_cfg.mode=whole
"""

_base_ = ['_base_/ade20k_upernet.py']

# The work_dir of a pre-training, or a file in any layout that is known; 'none' for random weights.
pretrained = 'work_dirs/mae_pretrain_vitb'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained)))
