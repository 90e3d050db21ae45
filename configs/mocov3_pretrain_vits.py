"""MoCo v3 pre-training of ViT-S/16 on ImageNet-1k, 300 epochs.

Recipe: official CONFIG.md (ViT-Small, batch 4096) and vits.py: 12 heads of 32 channels, where DeiT's ViT-S, the arch
'small' here, has 6 of 64.
Reported: 73.2 top-1 after linear probing, 81.4 after fine-tuning with DeiT's recipe (quoted: official README.md).
Train: tools/dist_train.sh configs/mocov3_pretrain_vits.py 8
On 8 GPUs each photo is compared with 1024, and gradients are accumulated; the original, on 32 GPUs, compares with
4096.
Own photos: add --cfg-options data_root=path/to/photos
Test (views told apart): tools/test.py configs/mocov3_pretrain_vits.py work_dirs/mocov3_pretrain_vits
"""

_base_ = ['_base_/mocov3_pretrain.py']

arch = '384x12x12'
train_dataloader = dict(batch_size=128)
