"""MAE Table 1f: every fourth patch kept, on a grid.

Recipe: configs/ablations/_baseline.py with another masking.
Reported: 84.0 top-1 after fine-tuning, 66.0 after linear probing (quoted: MAE Table 1f).
Cost: hours not published; 1.00 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1f_masking_grid_75.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1f', axis='masking', row='grid, .75', place=4, finetune=84.0, linear=66.0)

model = dict(masking=dict(type='GridMasking', ratio=0.75))
