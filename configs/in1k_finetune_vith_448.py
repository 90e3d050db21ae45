"""Fine-tuning of ViT-H/14 on ImageNet-1k at 448 x 448 pixels, 50 epochs.

Recipe: as at 224 (configs/in1k_finetune_vith.py), positions resized from 16 x 16 to 32 x 32 patches; judged without a
margin (crop 1.0 above 224, official code). What else changes at 448 is not published: the values at 224 are kept.
Known to reach: 87.8 top-1 from 1600 epochs of MAE at 224 (quoted: MAE Table 3).
Cost: four times the tokens of 224. Where memory is short: model.vit.grad_checkpoint=True.
Command: tools/dist_train.sh configs/in1k_finetune_vith_448.py 8
"""

_base_ = ['in1k_finetune_vith.py']

model = dict(vit=dict(img_size=448))
train_dataloader = dict(batch_size=8)
val_dataloader = dict(batch_size=32)
test_dataloader = dict(batch_size=32)
