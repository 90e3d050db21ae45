"""UperNet with ViT-B/16 on ADE20K, 160k iterations at a batch of 16.

Recipe: implus/mae_segmentation, MMSegmentation configs/mae: lr 1e-4, layer decay .65, drop path .1, taps after blocks 3, 5, 7
and 11, the position table trained. Not here yet: their relative position bias, which starts at zero. MAE's paper (App. A.4)
gives 100 epochs at a batch of 16 and searches lr, which it does not publish.
Known to reach: 48.1 mIoU (quoted: MAE Table 5); 48.15 (quoted: implus/mae_segmentation), 48.13 (quoted: MMSegmentation).
Cost: 8 V100, 9.96 GB each with two images (quoted: MMSegmentation, with relative positions).
Command: tools/dist_train.sh configs/ade20k_upernet_vitb.py 8
Own data, official weights: ... --cfg-options data_root=path/to/ADEChallengeData2016 pretrained=mae_pretrain_vit_base.pth
"""
_base_ = ['_base_/ade20k_upernet.py']

# The work_dir of a pre-training, or a file in any layout that is known; 'none' for random weights.
pretrained = 'work_dirs/mae_pretrain_vitb'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained)))
