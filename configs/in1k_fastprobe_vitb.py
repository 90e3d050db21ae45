"""A fast linear probe of the frozen ViT-B/16 on ImageNet-1k: features once, then a grid of classifiers together.

No published number: the paper's protocol is configs/in1k_linprobe_vitb.py. What differs stands in
configs/_base_/in1k_fastprobe.py. Command: tools/test.py configs/in1k_fastprobe_vitb.py work_dirs/mae_pretrain_vitb
"""

_base_ = ['_base_/in1k_fastprobe.py']
