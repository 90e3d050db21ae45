"""MAE Fig. 5: 50 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 84.9 top-1 after fine-tuning, 69.9 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 1.74 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_50.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=50, finetune=84.9, linear=69.9)

model = dict(masking=dict(ratio=0.5))
