"""MAE pre-training of ViT-H/14 on ImageNet-1k, 1600 epochs.

Recipe: MAE Table 8; official PRETRAIN.md.
Reported: 86.9 top-1 after fine-tuning at 224 pixels, 87.8 at 448 (quoted: MAE Table 3).
Train: tools/dist_train.sh configs/mae_pretrain_vith.py 8
Test (reconstruction loss): tools/test.py configs/mae_pretrain_vith.py work_dirs/mae_pretrain_vith
"""

_base_ = ['_base_/mae_pretrain.py']

arch = 'huge'
train_dataloader = dict(batch_size=32)
