"""MAE Table 1b: a decoder of 512 channels.

Recipe: configs/ablations/_baseline.py, unchanged.
Reported: 84.9 top-1 after fine-tuning, 73.5 after linear probing (quoted: MAE Table 1b).
Cost: 15.4 hours on 128 TPU-v3 cores (quoted: MAE Table 2).
Train: tools/dist_train.sh configs/ablations/table1b_decoder_width_512.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1b', axis='decoder width (channels)', row=512, finetune=84.9, linear=73.5)
