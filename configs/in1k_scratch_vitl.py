"""Supervised training of ViT-L/16 on ImageNet-1k from random weights, 200 epochs: the baseline for pre-training.

Recipe: MAE Table 11 (App. A.2). For values that are not published see configs/_base_/in1k_scratch.py.
Reported: 82.6 top-1 (81.5 without the moving average; quoted: MAE Table 3 and App. A.2).
Train: tools/dist_train.sh configs/in1k_scratch_vitl.py 8
Test: tools/test.py configs/in1k_scratch_vitl.py work_dirs/in1k_scratch_vitl
"""

_base_ = ['_base_/in1k_scratch.py']

max_epochs = 200
arch = 'large'
model = dict(vit=dict(drop_path_rate=0.2))
train_dataloader = dict(batch_size=128)
