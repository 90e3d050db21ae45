"""MAE Table 1b: a decoder of 1024 channels.

Recipe: configs/ablations/_baseline.py with another width of the decoder.
The number of heads is not published: 16, as at a width of 512, of 64 channels each.
Reported: 84.3 top-1 after fine-tuning, 73.1 after linear probing (quoted: MAE Table 1b).
Cost: hours not published; 1.74 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1b_decoder_width_1024.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1b', axis='decoder width (channels)', row=1024, finetune=84.3, linear=73.1)

model = dict(decoder=dict(embed_dim=1024))
