"""Fine-tuning of ViT-L/16 on ImageNet-1k, 50 epochs at 224 pixels.

Recipe: official FINETUNE.md. The paper's Table 9 has a drop path of .1 (here .2) and no random erasing.
Reported: 85.9 top-1 from 1600 epochs of MAE (quoted: MAE Table 3; official repository 85.952, four seeds 85.87 +- .07).
Cost: 8 h 52 on 32 V100 (quoted: FINETUNE.md).
Train: tools/dist_train.sh configs/in1k_finetune_vitl.py 8
Test: tools/test.py configs/in1k_finetune_vitl.py work_dirs/in1k_finetune_vitl
"""

_base_ = ['_base_/in1k_finetune.py']

pretrained = 'work_dirs/mae_pretrain_vitl'
max_epochs = 50
base_lr = 1e-3  # 4e-3 at a batch of 1024

arch = 'large'
model = dict(vit=dict(drop_path_rate=0.2))
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay=0.75))
