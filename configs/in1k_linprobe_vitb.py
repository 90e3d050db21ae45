"""Linear probing of ViT-B/16 on ImageNet-1k, 90 epochs of LARS at a batch of 16384.

Recipe: MAE Table 10; official main_linprobe.py.
Reported top-1: 68.0 (quoted: MAE, recipe of Table 10; official PyTorch code 67.8).
Train: tools/dist_train.sh configs/in1k_linprobe_vitb.py 8
Test: tools/test.py configs/in1k_linprobe_vitb.py work_dirs/in1k_linprobe_vitb
In minutes, on features that are computed once: configs/in1k_fastprobe_vitb.py
"""

_base_ = ['_base_/in1k_linprobe.py']
