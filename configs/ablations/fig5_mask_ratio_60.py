"""MAE Fig. 5: 60 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 85.0 top-1 after fine-tuning, 71.8 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 1.43 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_60.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=60, finetune=85.0, linear=71.8)

model = dict(masking=dict(ratio=0.6))
