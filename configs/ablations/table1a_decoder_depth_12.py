"""MAE Table 1a: a decoder of 12 blocks.

Recipe: configs/ablations/_baseline.py with another depth of the decoder.
Reported: 84.4 top-1 after fine-tuning, 73.3 after linear probing (quoted: MAE Table 1a).
Cost: hours not published; 1.13 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1a_decoder_depth_12.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1a', axis='decoder depth (blocks)', row=12, finetune=84.4, linear=73.3)

model = dict(decoder=dict(depth=12))
