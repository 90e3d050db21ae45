"""Partial fine-tuning of ViT-L/16 on ImageNet-1k: only the last blocks are trained, 50 epochs at 224 pixels.

`model.tuned_blocks` is 0, .5, 1, 2, 4, 6, 12, 18 or 24. .5 trains the MLP of the last block; 24 is fine-tuning; 0 is
linear probing with the head and the augmentation of this recipe.
Recipe: MAE App. A.1: as fine-tuning, with 50, 100 or 200 epochs, chosen for each number of blocks.
Reported top-1 (quoted: MAE Fig. 9; 800 epochs of MAE on pixels that are not normalised):
    tuned_blocks     0     .5      1      2      4      6     12     18     24
    top-1         73.5   79.1   81.0   83.1   84.2   84.4   84.6   84.7   84.9
Train: tools/dist_train.sh configs/in1k_partial_vitl.py 8 --cfg-options model.tuned_blocks=4
Test: tools/test.py configs/in1k_partial_vitl.py work_dirs/in1k_partial_vitl
"""

_base_ = ['in1k_finetune_vitl.py']

model = dict(tuned_blocks=4)
