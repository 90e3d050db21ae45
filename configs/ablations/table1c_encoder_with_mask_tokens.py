"""MAE Table 1c: an encoder that is given mask tokens in place of the masked patches.

Recipe: configs/ablations/_baseline.py; what differs: the mask token stands before the encoder, not before the decoder.
Known to reach: 84.2 top-1 after fine-tuning, 59.6 after linear probing (quoted: MAE Table 1c).
Cost: hours not published; 3.24 of the baseline's FLOPs (tools/measure_cost.py); 3.3 of them are quoted (MAE Table 1c).
Command: tools/dist_train.sh configs/ablations/table1c_encoder_with_mask_tokens.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1c', axis='mask tokens', row='in the encoder', place=1, finetune=84.2, linear=59.6)

model = dict(encoder_mask_tokens=True)
