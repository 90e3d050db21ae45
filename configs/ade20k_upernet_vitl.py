"""UperNet with ViT-L/16 on ADE20K, 160k iterations at a batch of 16, crops of 512.

Recipe: none is published for ViT-L with MAE's weights. From BEiT-L, whose code MAE's App. A.4 follows: maps after
blocks 7, 11, 15 and 23, heads of 1024 channels, drop path .2 (as in MAE's fine-tuning of ViT-L on ImageNet). From
ViTDet, the only published dense recipe for MAE's ViT-L: layer decay .8, and ViT-B's learning rate, which ViTDet keeps
for L and H. A decay of .8 over 24 blocks also leaves the embeddings the same share of the learning rate as .65 over 12
leaves those of ViT-B (.0038 and .0037). Everything else is as for ViT-B. Other values to try: learning rate 4e-5 with
layer decay .9 (BEiT v2, ViT-L that was trained without labels); 2e-5 with .95 is BEiT-L's for weights that were
fine-tuned on ImageNet before.
Reported: 53.6 mIoU (quoted: MAE Table 5, whose learning rate is not published). This recipe: not measured.
Cost: not measured. To save memory: model.backbone.grad_checkpoint=True.
Train: tools/dist_train.sh configs/ade20k_upernet_vitl.py 8
Test: tools/dist_test.sh configs/ade20k_upernet_vitl.py work_dirs/ade20k_upernet_vitl 8
Six scales, mirrored: add --tta to the test.
"""

_base_ = ['ade20k_upernet_vitb.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
arch = 'large'
model = dict(backbone=dict(drop_path_rate=0.2))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.8))
