"""Supervised training of ViT-B/16 on ImageNet-1k from random weights, 300 epochs: the baseline for pre-training.

Recipe: MAE Table 11 (App. A.2). For values that are not published see configs/_base_/in1k_scratch.py.
Reported: 82.3 top-1 (82.1 without the moving average; quoted: MAE Table 3 and App. A.2).
Train: tools/dist_train.sh configs/in1k_scratch_vitb.py 8
Test: tools/test.py configs/in1k_scratch_vitb.py work_dirs/in1k_scratch_vitb
"""

_base_ = ['_base_/in1k_scratch.py']
