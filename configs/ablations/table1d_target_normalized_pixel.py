"""MAE Table 1d: pixels normalised by their patch as the target.

Recipe: configs/ablations/_baseline.py with another target.
Reported: 85.4 top-1 after fine-tuning, 73.9 after linear probing (quoted: MAE Table 1d).
Cost: hours not published; 1.00 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1d_target_normalized_pixel.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1d', axis='target', row='pixel, normalised', place=2, finetune=85.4, linear=73.9)

model = dict(target=dict(type='NormalizedPixelTarget'))
