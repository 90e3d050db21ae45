"""UperNet with ViT-L/16 on ADE20K, 160k iterations at a batch of 16, crops of 640.

Recipe: none is published for MAE's weights at 640. Sizes from BEiT-L's 640 recipe (_base_/ade20k_upernet_640.py),
everything else from ade20k_upernet_vitl.py, whose docstring gives the reasons; BEiT-L's own lr 2e-5 and layer decay .95
are for weights already fine-tuned on ImageNet.
Known to reach: nothing is published for MAE's weights. BEiT-L, fine-tuned on ImageNet-22K before: 56.33, and 56.84 at
several scales and mirrored (quoted: MMSegmentation configs/beit).
Cost: 8 GPUs, 22.64 GB each with one image (quoted: MMSegmentation configs/beit, BEiT-L). Where memory is short:
train_dataloader.batch_size=1 on several GPUs, or model.backbone.grad_checkpoint=True.
Command: tools/dist_train.sh configs/ade20k_upernet_vitl_640.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vitl_640.py work_dirs/ade20k_upernet_vitl_640 8; six scales, mirrored:
... --tta
"""

_base_ = ['ade20k_upernet_vitb_640.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
model = dict(
    backbone=dict(arch='large', out_indices=(7, 11, 15, 23), drop_path_rate=0.2, init_cfg=dict(checkpoint=pretrained)),
    neck=dict(embed_dim=1024),
    decode_head=dict(in_channels=[1024, 1024, 1024, 1024], channels=1024),
    auxiliary_head=dict(in_channels=1024),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
