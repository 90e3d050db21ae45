"""MAE Table 1b: a decoder of 768 channels.

Recipe: configs/ablations/_baseline.py with another width of the decoder.
The number of heads is not published: 16, as at a width of 512, of 48 channels each.
Reported: 84.4 top-1 after fine-tuning, 73.1 after linear probing (quoted: MAE Table 1b).
Cost: hours not published; 1.31 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1b_decoder_width_768.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1b', axis='decoder width (channels)', row=768, finetune=84.4, linear=73.1)

model = dict(decoder=dict(embed_dim=768))
