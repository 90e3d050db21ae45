"""MAE Table 1f: half of the patches masked in blocks.

Recipe: configs/ablations/_baseline.py with another masking.
Reported: 83.9 top-1 after fine-tuning, 72.3 after linear probing (quoted: MAE Table 1f).
Cost: hours not published; 1.74 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1f_masking_block_50.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1f', axis='masking', row='block, .5', place=2, finetune=83.9, linear=72.3)

model = dict(masking=dict(type='BlockMasking', ratio=0.5))
