"""MAE Fig. 5: 20 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 83.4 top-1 after fine-tuning, 58.9 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 2.62 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_20.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=20, finetune=83.4, linear=58.9)

model = dict(masking=dict(ratio=0.2))
