"""UperNet with ViT-B/16 on ADE20K, 160k iterations at a batch of 16, crops of 640.

Recipe: none is published for MAE's weights at 640. The sizes are those of BEiT-B's 640 recipe
(_base_/ade20k_upernet_640.py), everything else is that of ade20k_upernet_vitb.py: BEiT-B's own learning rate 3e-5 and
layer decay .9 are for weights that were fine-tuned on ImageNet before.
Reported: nothing for MAE's weights. BEiT-B, fine-tuned on ImageNet-22K before: 53.61, and 54.26 at several scales and
mirrored (quoted: BEiT semantic_segmentation/README.md).
Cost: 8 GPUs, 15.88 GB each with two images (quoted: MMSegmentation configs/beit, BEiT-B).
Train: tools/dist_train.sh configs/ade20k_upernet_vitb_640.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vitb_640.py work_dirs/ade20k_upernet_vitb_640 8
Six scales, mirrored: add --tta to the test.
"""

_base_ = ['_base_/ade20k_upernet_640.py']
