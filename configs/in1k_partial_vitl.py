"""Partial fine-tuning of ViT-L/16 on ImageNet-1k: only the last blocks are trained, 50 epochs at 224.

One option, `model.tuned_blocks`: 0, .5, 1, 2, 4, 6, 12, 18 or 24. .5 trains the last block's MLP; 24 is fine-tuning; 0
is linear probing with this recipe's head and augmentation.
Recipe: MAE App. A.1: as fine-tuning, epochs chosen from 50, 100 and 200 for each point.
Known to reach top-1 (quoted: MAE Fig. 9; 800 epochs of MAE on pixels that are not normalised):
    tuned_blocks     0     .5      1      2      4      6     12     18     24
    top-1         73.5   79.1   81.0   83.1   84.2   84.4   84.6   84.7   84.9
Command: tools/dist_train.sh configs/in1k_partial_vitl.py 8 --cfg-options model.tuned_blocks=4
"""

_base_ = ['in1k_finetune_vitl.py']

model = dict(tuned_blocks=4)
