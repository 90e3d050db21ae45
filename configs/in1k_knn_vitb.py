"""k-NN with the frozen ViT-B/16 on ImageNet-1k: nothing is trained.

Protocol: Wu et al. 2018, as DINO has it. MAE's paper gives no number for it; MAE's features are known to be poor for it
compared with their fine-tuning.
Command: tools/test.py configs/in1k_knn_vitb.py work_dirs/mae_pretrain_vitb
"""

_base_ = ['_base_/in1k_knn.py']
