"""MoCo v3 pre-training of ViT-B/16 on ImageNet-1k, 300 epochs.

Recipe: official CONFIG.md (ViT-Base, batch 4096).
Reported: 76.7 top-1 after linear probing, 83.2 after fine-tuning for 150 epochs with DeiT's recipe (quoted: official
README.md); 47.9 box AP on COCO and 47.3 mIoU on ADE20K (quoted: MAE Tables 4, 5).
Train: tools/dist_train.sh configs/mocov3_pretrain_vitb.py 8
On 8 GPUs each photo is compared with 512, and gradients are accumulated; the original, on 64 GPUs, compares with
4096.
Own photos: add --cfg-options data_root=path/to/photos
Test (views told apart): tools/test.py configs/mocov3_pretrain_vitb.py work_dirs/mocov3_pretrain_vitb
"""

_base_ = ['_base_/mocov3_pretrain.py']
