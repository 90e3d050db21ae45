"""MAE Fig. 5: 75 % of the patches masked at random.

Recipe: configs/ablations/_baseline.py, unchanged.
Reported: 84.9 top-1 after fine-tuning, 73.5 after linear probing (quoted: MAE Fig. 5).
Cost: 15.4 hours on 128 TPU-v3 cores (quoted: MAE Table 2).
Train: tools/dist_train.sh configs/ablations/fig5_mask_ratio_75.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 5', axis='masking ratio (%)', row=75, finetune=84.9, linear=73.5)
