"""MAE Table 1a: a decoder of 8 blocks.

Recipe: configs/ablations/_baseline.py, unchanged.
Reported: 84.9 top-1 after fine-tuning, 73.5 after linear probing (quoted: MAE Table 1a).
Cost: 15.4 hours on 128 TPU-v3 cores (quoted: MAE Table 2).
Train: tools/dist_train.sh configs/ablations/table1a_decoder_depth_8.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1a', axis='decoder depth (blocks)', row=8, finetune=84.9, linear=73.5)
