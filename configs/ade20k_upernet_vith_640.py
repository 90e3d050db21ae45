"""UperNet with ViT-H/16 on ADE20K, 160k iterations at a batch of 16, crops of 640.

Recipe: none is published for ViT-H. The sizes are those of BEiT's 640 recipes (_base_/ade20k_upernet_640.py),
everything else is that of ade20k_upernet_vith.py, which gives the reasons.
Reported: nothing. This recipe: not measured.
Cost: not measured. To save memory: train_dataloader.batch_size=1 on several GPUs, or
model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/ade20k_upernet_vith_640.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vith_640.py work_dirs/ade20k_upernet_vith_640 8
Six scales, mirrored: add --tta to the test.
"""

_base_ = ['ade20k_upernet_vitb_640.py']

pretrained = 'work_dirs/mae_pretrain_vith'
arch = 'huge'
model = dict(backbone=dict(patch_size=16, drop_path_rate=0.3))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.85))
