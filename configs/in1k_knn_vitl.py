"""k-NN with the frozen ViT-L/16 on ImageNet-1k: nothing is trained.

Protocol: Wu et al. 2018, as in DINO. MAE's paper gives no number; by k-NN, MAE's features are known to be poor compared
with their fine-tuning.
Test: tools/test.py configs/in1k_knn_vitl.py work_dirs/mae_pretrain_vitl
"""

_base_ = ['_base_/in1k_knn.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
arch = 'large'
