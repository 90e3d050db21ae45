"""k-NN on 20 classes of Tiny ImageNet, with the ViT of configs/small/mae_pretrain_tin20.py.

The checkpoint 'none' evaluates random weights.
Test: tools/test.py configs/small/knn_tin20.py work_dirs/small/mae_pretrain_tin20
    --cfg-options data_root=../shared/data/tinyimagenet20
"""

_base_ = ['../_base_/in1k_knn.py']

data_root = 'data/tinyimagenet20'
pretrained = 'work_dirs/small/mae_pretrain_tin20'
image_size = 64

arch = '128x6x4'
model = dict(vit=dict(patch_size=8))
test_dataloader = dict(num_workers=0)
test_cfg = dict(dtype='float32', train_dataloader=dict(num_workers=0))
