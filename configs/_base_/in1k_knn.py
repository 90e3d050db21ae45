"""k-NN on ImageNet-1k: cosine similarity to all training images, votes weighted by exp(similarity / .07) (Wu et al.
2018, DINO).
"""

_base_ = './in1k_features.py'

test_cfg = dict(type='KNNLoop', ks=(10, 20, 100, 200), temperature=0.07, dtype='bfloat16')
