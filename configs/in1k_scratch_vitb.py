"""Supervised training of ViT-B/16 on ImageNet-1k from random weights, 300 epochs: what pre-training is compared with.

Recipe: MAE Table 11 (App. A.2). What is not published stands in configs/_base_/in1k_scratch.py.
Known to reach: 82.3 (without the average 82.1) top-1 (quoted: MAE Table 3 and App. A.2).
Command: tools/dist_train.sh configs/in1k_scratch_vitb.py 8
"""

_base_ = ['_base_/in1k_scratch.py']
