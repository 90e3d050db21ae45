"""MAE Fig. 5: 30 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 83.4 top-1 after fine-tuning, 61.7 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 2.33 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_30.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=30, finetune=83.4, linear=61.7)

model = dict(masking=dict(ratio=0.3))
