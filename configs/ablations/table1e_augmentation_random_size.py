"""MAE Table 1e: crops of random size, mirrored at random.

Recipe: configs/ablations/_baseline.py, unchanged.
Reported: 84.9 top-1 after fine-tuning, 73.5 after linear probing (quoted: MAE Table 1e).
Cost: 15.4 hours on 128 TPU-v3 cores (quoted: MAE Table 2).
Train: tools/dist_train.sh configs/ablations/table1e_augmentation_random_size.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1e', axis='augmentation', row='crop, random size', place=3, finetune=84.9, linear=73.5)
