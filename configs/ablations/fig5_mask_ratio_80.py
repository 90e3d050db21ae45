"""MAE Fig. 5: 80 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 84.5 top-1 after fine-tuning, 71.8 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 0.85 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_80.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=80, finetune=84.5, linear=71.8)

model = dict(masking=dict(ratio=0.8))
