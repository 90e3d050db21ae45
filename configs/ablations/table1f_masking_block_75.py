"""MAE Table 1f: three quarters of the patches masked in blocks.

Recipe: configs/ablations/_baseline.py with another masking.
Reported: 82.8 top-1 after fine-tuning, 63.9 after linear probing (quoted: MAE Table 1f).
Cost: hours not published; 1.00 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1f_masking_block_75.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1f', axis='masking', row='block, .75', place=3, finetune=82.8, linear=63.9)

model = dict(masking=dict(type='BlockMasking', ratio=0.75))
