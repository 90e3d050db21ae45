"""MAE Fig. 7: pre-training of 100 epochs.

Recipe: configs/ablations/_baseline.py with other epochs. The warm-up stays 40 epochs, as in Table 8.
Reported: 82.3 top-1 after fine-tuning, 57.3 after linear probing (quoted: MAE Fig. 7).
Cost: hours not published; 0.125 times the baseline's steps.
Train: tools/dist_train.sh configs/ablations/fig7_epochs_100.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 7', axis='epochs of pre-training', row=100, finetune=82.3, linear=57.3)

max_epochs = 100
