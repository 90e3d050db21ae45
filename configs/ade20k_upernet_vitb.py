"""UperNet with ViT-B/16 on ADE20K, 160k iterations at a batch of 16, crops of 512.

Recipe: implus/mae_segmentation, MMSegmentation configs/mae: learning rate 1e-4, layer decay .65, drop path .1, maps
after blocks 3, 5, 7 and 11, a trained position embedding, a table of relative positions in each block. MAE's paper
(App. A.4) has 100 epochs at a batch of 16 and a search for the learning rate, which it does not publish. One of Meta's
authors suggests 160k iterations at a batch of 16 with learning rate 8e-5, layer decay .8 and drop path .1
(facebookresearch/long_seq_mae#1): --cfg-options base_lr=1.28e-3 optim_wrapper.paramwise_cfg.layer_decay=.8
Reported: 48.1 mIoU (quoted: MAE Table 5); 48.15, mAcc 58.99, aAcc 83.05 (quoted: implus/mae_segmentation); 48.13, and
48.70 at several scales and mirrored (quoted: MMSegmentation).
Cost: 8 V100, 9.96 GB each with two images (quoted: MMSegmentation).
Train: tools/dist_train.sh configs/ade20k_upernet_vitb.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vitb.py work_dirs/ade20k_upernet_vitb 8
Six scales, mirrored: add --tta to the test. Fewer scales: --cfg-options "tta.scales=(1.,1.25)"
Whole images instead of windows: add --cfg-options model.test_cfg.mode=whole to the test.
Own data, official weights:
    --cfg-options data_root=path/to/ADEChallengeData2016 pretrained=mae_pretrain_vit_base.pth
"""

_base_ = ['_base_/ade20k_upernet.py']
