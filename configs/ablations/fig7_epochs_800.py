"""MAE Fig. 7: pre-training of 800 epochs.

Recipe: configs/ablations/_baseline.py, unchanged.
Reported: 84.9 top-1 after fine-tuning, 73.5 after linear probing (quoted: MAE Fig. 7).
Cost: 15.4 hours on 128 TPU-v3 cores (quoted: MAE Table 2).
Train: tools/dist_train.sh configs/ablations/fig7_epochs_800.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 7', axis='epochs of pre-training', row=800, finetune=84.9, linear=73.5)
