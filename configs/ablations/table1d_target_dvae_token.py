"""MAE Table 1d: the tokens of a dVAE as the target, with cross-entropy.

Recipe: configs/ablations/_baseline.py with another target.
The tokenizer is our own: train configs/tokenizer_dvae.py first. For DALL-E's published encoder, which the paper uses,
set model.target.tokenizer="{'type': 'DALLEEncoder', 'checkpoint': 'FILE'}".
Reported: 85.3 top-1 after fine-tuning, 71.6 after linear probing (quoted: MAE Table 1d).
Cost: hours not published; 1.11 times the baseline's FLOPs (tools/measure_cost.py).
Train: tools/dist_train.sh configs/ablations/table1d_target_dvae_token.py 8
"""

_base_ = ['_baseline.py']

published = dict(table='Table 1d', axis='target', row='dVAE token', place=4, finetune=85.3, linear=71.6)

model = dict(target=dict(type='TokenTarget', tokenizer=dict(type='DVAE', checkpoint='work_dirs/tokenizer_dvae')))
