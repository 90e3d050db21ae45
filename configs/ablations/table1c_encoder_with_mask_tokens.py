"""MAE Table 1c: an encoder with mask tokens in place of the masked patches.

Recipe: configs/ablations/_baseline.py with the mask tokens added before the encoder instead of the decoder.
Reported: 84.2 top-1 after fine-tuning, 59.6 after linear probing (quoted: MAE Table 1c).
Cost: hours not published; 3.26 times the baseline's FLOPs (tools/measure_cost.py); 3.3 times (quoted: MAE Table 1c).
Train: tools/dist_train.sh configs/ablations/table1c_encoder_with_mask_tokens.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1c', axis='mask tokens', row='in the encoder', place=1, finetune=84.2, linear=59.6)

model = dict(encoder_mask_tokens=True)
