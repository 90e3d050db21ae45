"""MAE Table 1a: a decoder of 1 block.

Recipe: configs/ablations/_baseline.py with another depth of the decoder.
Reported: 84.8 top-1 after fine-tuning, 65.5 after linear probing (quoted: MAE Table 1a).
Cost: hours not published; 0.78 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1a_decoder_depth_1.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1a', axis='decoder depth (blocks)', row=1, finetune=84.8, linear=65.5)

model = dict(decoder=dict(depth=1))
