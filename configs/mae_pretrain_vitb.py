"""MAE pre-training of ViT-B/16 on ImageNet-1k, 1600 epochs.

Recipe: MAE Table 8; official PRETRAIN.md (the values are the same for B, L and H).
Reported: 83.6 top-1 after fine-tuning, 68.0 after linear probing (quoted: MAE Table 3, official repository); 50.3 box
AP on COCO and 48.1 mIoU on ADE20K (quoted: MAE Tables 4, 5).
Train: tools/dist_train.sh configs/mae_pretrain_vitb.py 8
Own photos: add --cfg-options data_root=path/to/photos
Test (reconstruction loss): tools/test.py configs/mae_pretrain_vitb.py work_dirs/mae_pretrain_vitb
"""

_base_ = ['_base_/mae_pretrain.py']
