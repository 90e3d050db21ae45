"""MAE Table 1a: a decoder of 2 blocks.

Recipe: configs/ablations/_baseline.py with another depth of the decoder.
Reported: 84.9 top-1 after fine-tuning, 70.0 after linear probing (quoted: MAE Table 1a).
Cost: hours not published; 0.81 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1a_decoder_depth_2.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1a', axis='decoder depth (blocks)', row=2, finetune=84.9, linear=70.0)

model = dict(decoder=dict(depth=2))
