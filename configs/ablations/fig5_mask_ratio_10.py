"""MAE Fig. 5: 10 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py with another masking ratio.
Reported: 83.2 top-1 after fine-tuning, 54.6 after linear probing (quoted: MAE Fig. 5).
Cost: hours not published; 2.93 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_10.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=10, finetune=83.2, linear=54.6)

model = dict(masking=dict(ratio=0.1))
