"""Supervised training of ViT-L/16 on ImageNet-1k from random weights, 200 epochs: what pre-training is compared with.

Recipe: MAE Table 11 (App. A.2). What is not published stands in configs/_base_/in1k_scratch.py.
Known to reach: 82.6 (without the average 81.5) top-1 (quoted: MAE Table 3 and App. A.2).
Command: tools/dist_train.sh configs/in1k_scratch_vitl.py 8
"""

_base_ = ['_base_/in1k_scratch.py']

model = dict(vit=dict(arch='large', drop_path_rate=0.2))
train_dataloader = dict(batch_size=128)
train_cfg = dict(max_epochs=200)
param_scheduler = [dict(type='WarmupCosineLR', warmup=20, end=200, by_epoch=True, convert_to_iter_based=True)]
