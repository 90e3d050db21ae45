"""A fast linear probe of the frozen ViT-L/16 on ImageNet-1k: features once, then a grid of classifiers together.

No published number: the paper's protocol is configs/in1k_linprobe_vitl.py. What differs stands in
configs/_base_/in1k_fastprobe.py. Command: tools/test.py configs/in1k_fastprobe_vitl.py work_dirs/mae_pretrain_vitl
"""

_base_ = ['_base_/in1k_fastprobe.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
model = dict(vit=dict(arch='large', init_cfg=dict(checkpoint=pretrained)))
