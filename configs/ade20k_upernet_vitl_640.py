"""UperNet with ViT-L/16 on ADE20K, 160k iterations at a batch of 16, crops of 640.

Recipe: none is published for MAE's weights at 640. The sizes are those of BEiT-L's 640 recipe
(_base_/ade20k_upernet_640.py), everything else is that of ade20k_upernet_vitl.py, which gives the reasons; BEiT-L's own
learning rate 2e-5 and layer decay .95 are for weights that were fine-tuned on ImageNet before.
Reported: nothing for MAE's weights. BEiT-L, fine-tuned on ImageNet-22K before: 56.33, and 56.84 at several scales and
mirrored (quoted: MMSegmentation configs/beit).
Cost: 8 GPUs, 22.64 GB each with one image (quoted: MMSegmentation configs/beit, BEiT-L). To save memory:
train_dataloader.batch_size=1 on several GPUs, or model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/ade20k_upernet_vitl_640.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vitl_640.py work_dirs/ade20k_upernet_vitl_640 8
Six scales, mirrored: add --tta to the test.
"""

_base_ = ['ade20k_upernet_vitb_640.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
arch = 'large'
model = dict(backbone=dict(drop_path_rate=0.2))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
