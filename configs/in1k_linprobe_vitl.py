"""Linear probing of ViT-L/16 on ImageNet-1k, 90 epochs of LARS at a batch of 16384.

Recipe: MAE Table 10; official main_linprobe.py.
Reported top-1: 75.8 (quoted: MAE, recipe of Table 10; official PyTorch code 76.0).
50 epochs are enough (official repository).
Train: tools/dist_train.sh configs/in1k_linprobe_vitl.py 8
Test: tools/test.py configs/in1k_linprobe_vitl.py work_dirs/in1k_linprobe_vitl
In minutes, on features that are computed once: configs/in1k_fastprobe_vitl.py
"""

_base_ = ['_base_/in1k_linprobe.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
arch = 'large'
train_dataloader = dict(batch_size=256)
