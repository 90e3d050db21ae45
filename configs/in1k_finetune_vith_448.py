"""Fine-tuning of ViT-H/14 on ImageNet-1k at 448 pixels, 50 epochs.

Recipe: as at 224 pixels (configs/in1k_finetune_vith.py), with positions resized from 16 x 16 to 32 x 32 patches, and an
evaluation without a margin around the centre crop (crop ratio 1.0 above 224 pixels, as in the official code). Other
changes for 448 pixels are not published: the values for 224 are kept.
Reported: 87.8 top-1 from 1600 epochs of MAE at 224 pixels (quoted: MAE Table 3).
Cost: four times the tokens of 224 pixels. To save memory: model.vit.grad_checkpoint=True.
Train: tools/dist_train.sh configs/in1k_finetune_vith_448.py 8
Test: tools/test.py configs/in1k_finetune_vith_448.py work_dirs/in1k_finetune_vith_448
"""

_base_ = ['in1k_finetune_vith.py']

image_size = 448
train_dataloader = dict(batch_size=8)
val_dataloader = dict(batch_size=32)
test_dataloader = dict(batch_size=32)
