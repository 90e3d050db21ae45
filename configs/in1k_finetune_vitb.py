"""Fine-tuning of ViT-B/16 on ImageNet-1k, 100 epochs at 224 pixels.

Recipe: official FINETUNE.md. The paper's Table 9 has a learning rate of 1e-3 (here 5e-4), a layer decay of .75 (here
.65) and no random erasing.
Reported: 83.6 top-1 from 1600 epochs of MAE (quoted: MAE Table 3; official repository 83.664, four seeds 83.57 +- .08).
Cost: 7 h 11 on 32 V100 (quoted: FINETUNE.md).
Train: tools/dist_train.sh configs/in1k_finetune_vitb.py 8
Test: tools/test.py configs/in1k_finetune_vitb.py work_dirs/in1k_finetune_vitb
A fine-tuned file of the official code or of timm can be tested in place of the work_dir.
"""

_base_ = ['_base_/in1k_finetune.py']
