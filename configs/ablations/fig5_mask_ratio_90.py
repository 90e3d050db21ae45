"""MAE Fig. 5: 90 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 83.0 top-1 after fine-tuning, 66.1 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 0.55 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_90.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=90, finetune=83.0, linear=66.1)

model = dict(masking=dict(ratio=0.9))
