"""MAE Fig. 7: pre-training of 400 epochs.

Recipe: configs/ablations/_baseline.py with other epochs. The warm-up stays 40 epochs, as in Table 8.
Reported: 84.3 top-1 after fine-tuning, 69.7 after linear probing (quoted: MAE Fig. 7).
Cost: hours not published; 0.5 times the baseline's steps.
Train: tools/dist_train.sh configs/ablations/fig7_epochs_400.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Fig. 7', axis='epochs of pre-training', row=400, finetune=84.3, linear=69.7)

max_epochs = 400
