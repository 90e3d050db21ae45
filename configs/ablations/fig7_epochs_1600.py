"""MAE Fig. 7: pre-training of 1600 epochs.

Recipe: configs/ablations/_baseline.py with other epochs. The warm-up stays 40 epochs, as in Table 8.
Reported: 85.1 top-1 after fine-tuning, 75.1 after linear probing (quoted: MAE Fig. 7).
Cost: hours not published; 2 times the baseline's steps.
Train: tools/dist_train.sh configs/ablations/fig7_epochs_1600.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 7', axis='epochs of pre-training', row=1600, finetune=85.1, linear=75.1)

max_epochs = 1600
