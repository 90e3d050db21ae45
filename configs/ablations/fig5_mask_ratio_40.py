"""MAE Fig. 5: 40 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 84.7 top-1 after fine-tuning, 67.0 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 2.03 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_40.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=40, finetune=84.7, linear=67.0)

model = dict(masking=dict(ratio=0.4))
