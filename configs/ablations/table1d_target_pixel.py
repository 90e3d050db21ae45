"""MAE Table 1d: pixels, not normalised, as the target.

Recipe: configs/ablations/_baseline.py, unchanged.
Reported: 84.9 top-1 after fine-tuning, 73.5 after linear probing (quoted: MAE Table 1d).
Cost: 15.4 hours on 128 TPU-v3 cores (quoted: MAE Table 2).
Train: tools/dist_train.sh configs/ablations/table1d_target_pixel.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1d', axis='target', row='pixel', place=1, finetune=84.9, linear=73.5)
