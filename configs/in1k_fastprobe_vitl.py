"""A fast linear probe of the frozen ViT-L/16 on ImageNet-1k: features are computed once, then many classifiers are
trained on them together.

Reported: nothing; the paper's protocol is configs/in1k_linprobe_vitl.py. For the differences see
configs/_base_/in1k_fastprobe.py.
Test: tools/test.py configs/in1k_fastprobe_vitl.py work_dirs/mae_pretrain_vitl
"""

_base_ = ['_base_/in1k_fastprobe.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
arch = 'large'
