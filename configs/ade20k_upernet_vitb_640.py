"""UperNet with ViT-B/16 on ADE20K, 160k iterations at a batch of 16, crops of 640.

Recipe: none is published for MAE's weights at 640. Sizes from BEiT-B's 640 recipe (_base_/ade20k_upernet_640.py),
everything else from ade20k_upernet_vitb.py: BEiT-B's own lr 3e-5 and layer decay .9 are for weights already fine-tuned
on ImageNet. Known to reach: nothing is published for MAE's weights. BEiT-B, fine-tuned on ImageNet-22K before: 53.61,
and 54.26 at several scales and mirrored (quoted: BEiT semantic_segmentation/README.md).
Cost: 8 GPUs, 15.88 GB each with two images (quoted: MMSegmentation configs/beit, BEiT-B).
Command: tools/dist_train.sh configs/ade20k_upernet_vitb_640.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vitb_640.py work_dirs/ade20k_upernet_vitb_640 8; six scales, mirrored:
... --tta
"""

_base_ = ['_base_/ade20k_upernet_640.py']

pretrained = 'work_dirs/mae_pretrain_vitb'
model = dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint=pretrained)))
