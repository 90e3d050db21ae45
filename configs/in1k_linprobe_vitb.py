"""Linear probing of ViT-B/16 on ImageNet-1k, 90 epochs of LARS at a batch of 16384.

Recipe: MAE Table 10; official main_linprobe.py.
Known to reach top-1: 68.0 (quoted: MAE Table 10's recipe; PyTorch code 67.8).
Command: tools/dist_train.sh configs/in1k_linprobe_vitb.py 8
In minutes, on features that are computed once: configs/in1k_fastprobe_vitb.py
"""

_base_ = ['_base_/in1k_linprobe.py']
