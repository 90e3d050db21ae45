"""MoCo v3 pre-training of ViT-L/16 on ImageNet-1k, 300 epochs.

Recipe: that of ViT-B. The official code has neither a command nor weights for ViT-L; mmpretrain's config for it has the
same batch, rates and length, and clips gradients at a norm of 5, which is not done here.
Reported: 77.6 top-1 after linear probing (quoted: MAE Fig. 9), 84.1 after fine-tuning (quoted: MAE Table 3); 49.3 box
AP on COCO and 49.1 mIoU on ADE20K (quoted: MAE Tables 4, 5).
Cost: 36 hours on 128 TPU-v3 cores for 300 epochs (quoted: MAE section 4).
Train: tools/dist_train.sh configs/mocov3_pretrain_vitl.py 8
On 8 GPUs each photo is compared with 512, and gradients are accumulated; on 64 GPUs with 4096.
Own photos: add --cfg-options data_root=path/to/photos
Test (views told apart): tools/test.py configs/mocov3_pretrain_vitl.py work_dirs/mocov3_pretrain_vitl
"""

_base_ = ['_base_/mocov3_pretrain.py']

arch = 'large'
