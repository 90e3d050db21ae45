"""MAE pre-training of ViT-L/16 on ImageNet-1k, 1600 epochs.

Recipe: MAE Table 8; official PRETRAIN.md.
Reported: 85.9 top-1 after fine-tuning, 75.8 after linear probing (quoted: MAE Tables 3, 10); 53.3 box AP on COCO and
53.6 mIoU on ADE20K (quoted: MAE Tables 4, 5).
Cost: about 42 hours on 64 V100 for 800 epochs (quoted: PRETRAIN.md).
Train: tools/dist_train.sh configs/mae_pretrain_vitl.py 8
Test (reconstruction loss): tools/test.py configs/mae_pretrain_vitl.py work_dirs/mae_pretrain_vitl
"""

_base_ = ['_base_/mae_pretrain.py']

arch = 'large'
