"""MAE Fig. 7: pre-training of 200 epochs.

Recipe: configs/ablations/_baseline.py with other epochs. The warm-up stays 40 epochs, as in Table 8.
Reported: 83.3 top-1 after fine-tuning, 64.4 after linear probing (quoted: MAE Fig. 7).
Cost: hours not published; 0.25 times the baseline's steps.
Train: tools/dist_train.sh configs/ablations/fig7_epochs_200.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 7', axis='epochs of pre-training', row=200, finetune=83.3, linear=64.4)

max_epochs = 200
