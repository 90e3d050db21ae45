"""MAE Fig. 5: 70 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 84.9 top-1 after fine-tuning, 73.2 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 1.13 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_70.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=70, finetune=84.9, linear=73.2)

model = dict(masking=dict(ratio=0.7))
