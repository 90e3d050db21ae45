"""k-NN with the frozen ViT-H/14 on ImageNet-1k: nothing is trained.

Protocol: Wu et al. 2018, as in DINO. MAE's paper gives no number; by k-NN, MAE's features are known to be poor compared
with their fine-tuning.
Test: tools/test.py configs/in1k_knn_vith.py work_dirs/mae_pretrain_vith
"""

_base_ = ['_base_/in1k_knn.py']

pretrained = 'work_dirs/mae_pretrain_vith'
arch = 'huge'
