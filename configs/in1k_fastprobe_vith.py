"""A fast linear probe of the frozen ViT-H/14 on ImageNet-1k: features once, then a grid of classifiers together.

No published number: the paper's protocol is configs/in1k_linprobe_vith.py. What differs stands in
configs/_base_/in1k_fastprobe.py. Command: tools/test.py configs/in1k_fastprobe_vith.py work_dirs/mae_pretrain_vith
"""

_base_ = ['_base_/in1k_fastprobe.py']

pretrained = 'work_dirs/mae_pretrain_vith'
model = dict(vit=dict(arch='huge', init_cfg=dict(checkpoint=pretrained)))
